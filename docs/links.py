"""Links of a built site: those inside it must lead somewhere, those to the outside must be addresses.

Nothing is asked of the network, so whether another site still has a page is not known.
"""

import re
from html.parser import HTMLParser
from os.path import normpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", re.IGNORECASE)
_PARTS = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Elements whose address the browser asks for by itself."""


class _Reader(HTMLParser):
    """Names, links and parts of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = {"", "top"}
        self.links: list[str] = []
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag says."""
        given = dict(attrs)
        self.names |= {value for key in ("id", "name") if (value := given.get(key))}
        if tag == "a" and given.get("href") is not None:
            self.links.append(given["href"] or "")
        elif tag in _PARTS and (address := given.get(_PARTS[tag])):
            self.parts.append(address)


def dead(site: Path) -> list[str]:
    """One line for each link of the site (HTML files under a folder) that is wrong, and each part from elsewhere."""
    site = site.resolve()
    theirs = site / "_static"  # templates of the theme among it, which are no pages
    pages = {path: _read(path) for path in sorted(site.rglob("*.html")) if not path.is_relative_to(theirs)}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site).as_posix()
        for link in dict.fromkeys(page.links):
            if problem := _wrong(link, path, pages):
                found.append(f"{where}: {link}: {problem}")
        for part in dict.fromkeys(page.parts):
            if urlsplit(part).scheme not in ("", "data") or urlsplit(part).netloc:
                found.append(f"{where}: {part}: a part of the page that comes from the network")
            elif problem := _wrong(part, path, pages):
                found.append(f"{where}: {part}: {problem}")
    return found


def _read(path: Path) -> _Reader:
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def _wrong(link: str, path: Path, pages: dict[Path, _Reader]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme in ("http", "https"):
        return None if _HOST.fullmatch(parts.hostname or "") else "not an address"
    if parts.scheme or parts.netloc:
        return None if parts.scheme in ("mailto", "data") else "an address of a kind that pages do not have"
    target = Path(normpath(path.parent / unquote(parts.path))) if parts.path else path
    if target not in pages and not target.is_file():
        return "there is no such file"
    if target in pages and unquote(parts.fragment) not in pages[target].names:
        return "there is no such place on the page"
    return None
