"""A page as HTML: the parts that the documentation shows too, and one file with everything inside."""

import re
from html import escape
from importlib.resources import files
from textwrap import dedent

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from unlabel.catalogue.page import Beside, Block, Cell, Code, Drawing, Items, Link, Links, Page, Prose, Table
from unlabel.reporting.page import policy


def document(page: Page) -> str:
    """One HTML file that opens anywhere and asks the network for nothing."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("unlabel.catalogue").joinpath("page.html.j2").read_text(encoding="utf-8"))
    style = files("unlabel.reporting").joinpath("page.css").read_text(encoding="utf-8") + listing_style()
    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in ("friendly", "github-dark"))
    own = listing(page)
    return template.render(
        page=page,
        style=Markup(f"{style}\n{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}"),
        policy=policy([]),
        sections=[(s.title, anchor(s.title), [Markup(block(b, own)) for b in s.blocks]) for s in page.sections],
    )


def listing_style() -> str:
    """The style sheet of equations and code, for whatever page they stand on."""
    return files("unlabel.catalogue").joinpath("page.css").read_text(encoding="utf-8")


def anchor(title: str) -> str:
    """The name of a section, for links to it."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")


def block(one: Block, whole: str) -> str:
    """One block. whole: path of the file that the page shows whole, to whose lines excerpts of it link."""
    match one:
        case Prose(text):
            return f"<p>{inline(text)}</p>"
        case Items(lines):
            return "<ul>" + "".join(f"<li>{inline(line)}</li>" for line in lines) + "</ul>"
        case Links(words, links):
            return f"<p>{escape(words)} {', '.join(escape(link.text) for link in links)}.</p>"
        case Drawing(text):
            return f'<pre class="drawing" tabindex="0">{escape(text)}</pre>'
        case Code(lines):
            return _code(one, linked=lines.path == whole)
        case Beside(drawing, code):
            parts = "".join(block(part, whole) for part in code)
            return f'<div class="beside"><div>{block(drawing, whole)}</div><div>{parts}</div></div>'
        case Table(head, rows):
            return _table(head, rows, one.code)


def inline(text: str) -> str:
    """Text, with code where backticks are."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def listing(page: Page) -> str:
    """The path of the file that a page shows whole."""
    blocks = (block for section in page.sections for block in section.blocks)
    return next((block.lines.path for block in blocks if isinstance(block, Code) and block.listing), "")


def _code(code: Code, *, linked: bool) -> str:
    """Numbered lines: those of the whole file can be linked to, and those of its excerpts link there."""
    text = code.lines.text if code.listing else dedent(code.lines.text)  # a class leaves no room beside equations
    shown = highlight(text, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True))
    lines = []
    for number, line in enumerate(shown.rstrip("\n").split("\n"), code.lines.first):
        if code.listing:
            lines.append(f'<span id="line-{number}"><a href="#line-{number}">{number}</a>{line}\n</span>')
        elif linked:
            lines.append(f'<span><a href="#line-{number}">{number}</a>{line}\n</span>')
        else:
            lines.append(f"<span><b>{number}</b>{line}\n</span>")
    where = f"{code.lines.path}, lines {code.lines.first} to {code.lines.last}"
    return (
        f'<figure class="code"><figcaption>{escape(where)}</figcaption>'
        f'<div class="highlight"><pre tabindex="0">{"".join(lines)}</pre></div></figure>'
    )


def _table(head: tuple[str, ...], rows: tuple[tuple[Cell, ...], ...], code: tuple[int, ...]) -> str:
    def cell(value: Cell, column: int) -> str:
        text = value if isinstance(value, str) else value.text
        shown = f"<code>{escape(text, quote=False)}</code>" if column in code and text else inline(text)
        if isinstance(value, Link):
            return f'<td><a href="{escape(value.address)}">{shown}</a></td>'
        return f"<td>{shown}</td>"

    begin = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(f"<tr>{''.join(cell(value, i) for i, value in enumerate(row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{begin}</tr></thead><tbody>{body}</tbody></table></div>'
