"""A look through a folder before training on it, and what to train with."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from unlabel.api.advising import advise
from unlabel.api.queries import vectors_of, view_of
from unlabel.data.findings import Scan
from unlabel.data.folder import Folder
from unlabel.data.pack import SUFFIX as PACK
from unlabel.data.scan import scan as look_through
from unlabel.data.source import Subset
from unlabel.engine import options as engine_options
from unlabel.engine.advice import Advice
from unlabel.engine.keep import load_backbone
from unlabel.engine.places import check_file
from unlabel.engine.progress import stages
from unlabel.errors import Fault, command, writing
from unlabel.evaluation.alike import alike
from unlabel.reporting.scan_page import write_scan


@dataclass(frozen=True)
class Scanned:
    """found: what the folder holds;  advice: what to train with, or None;  html: the page that was written, or None."""

    found: Scan
    advice: Advice | None
    html: Path | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: those of the scan, and `advice`."""
        return {**self.found.as_dict(), "advice": None if self.advice is None else asdict(self.advice)}

    def write(self, path: str | Path) -> Path:
        """Write the page; returns its path. Raises Fault where that cannot be done."""
        with writing(path):
            return write_scan(Path(path), self.found, self.advice)


def scan(
    data: str | Path,
    *,
    run: str | Path | None = None,
    distance: float = 0.01,
    budget: str | None = "30m",
    html: str | Path | None = None,
    console: Console | None = None,
) -> Scanned:
    """Look through the folder `data`: nothing in it is changed.

    run       a run whose network also looks for nearly the same pictures
    distance  cosine distance (of centred embeddings) up to which two pictures are the same to it, from 0 to 1
    budget    how long the training may take that is recommended, such as "20m"; None: nothing is recommended or timed
    html      page to write
    console   where progress is shown; default: standard error

    Raises Fault for a folder without pictures, a run without a network, a budget that is no time, and a page that
    cannot be written, which is asked before anything is read.
    """
    console = console or Console(stderr=True)
    if html is not None:
        check_file(html)
    if not 0 <= distance <= 1:
        raise Fault(f"the distance of nearly the same pictures is between 0 and 1, not {distance:g}")
    if budget is not None:
        engine_options.check("simclr", {"data": str(data), "budget": budget})
    network, view = (None, None) if run is None else (load_backbone(run), view_of(run))
    if Path(data).suffix == PACK and Path(data).is_file():
        checks = command("pack", "--verify", data)
        raise Fault(f"{data} is a pack: scan the folder that it was made of (`{checks}` checks it)")
    with stages(console, "reading") as tell:
        found = look_through(data, progress=lambda done, total: tell(f"{done:,} of {total:,} files", done / total))
    if run is not None and network is not None and view is not None:
        source = _worth_asking(found, data)
        features = vectors_of(network, source, view, run, console)
        groups = alike(features.vectors, distance)
        found.near_by_run = [[source.path(int(features.index[k])) for k in group] for group in groups]
        found.leaks += found.leaks_of("run", found.near_by_run)
    advice = None
    if budget is not None:
        with stages(console, "choosing") as tell:
            advice = advise(found, data, budget, lambda words: tell(words, 0.0))
    done = Scanned(found, advice, None)
    return done if html is None else replace(done, html=done.write(html))


def _worth_asking(found: Scan, data: str | Path) -> Subset:
    """The pictures of a scan but for constant ones, unreadable ones, and copies of what is among them already."""
    source = Folder(data)
    left = {*found.constant, *(path for path, _ in found.unreadable), *(p for g in found.duplicates for p in g[1:])}
    return Subset(source, [i for i in range(len(source)) if source.path(i) not in left])
