"""Commands about methods and data: methods, explain, scan, pack, saliency."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from unlabel.cli import LOG, OUT, cli, example
from unlabel.console import tell
from unlabel.errors import Fault, writing


@cli.command(epilog=example("unlabel methods"))
def methods() -> None:
    """List the methods, by family."""
    from unlabel import catalogue

    table = Table("name", "title", "family", "year", "arXiv")
    for entry in catalogue.entries():
        table.add_row(Text(entry.name, "bold"), entry.title, entry.family, str(entry.year), entry.paper or "none")
    OUT.print(table)
    tell(OUT, "`unlabel explain NAME` shows one of them: equations, code, symbols, data flow, defaults.")


@cli.command(epilog=example("unlabel explain simclr", "unlabel explain simclr -o simclr.html"))
@click.argument("method")
@click.option("-o", "--html", "out", type=click.Path(dir_okay=False), help="Write one HTML file instead of printing.")
def explain(method: str, out: str | None) -> None:
    """Show a method: equations, the code that computes them, symbols, data flow, defaults, recipes, evidence."""
    from unlabel import catalogue
    from unlabel.catalogue import html, terminal
    from unlabel.catalogue.page import page

    told = page(catalogue.entry(method))
    if out is None:
        terminal.show(told, OUT)
        return
    document = html.document(told)
    with writing(out):
        Path(out).write_text(document, encoding="utf-8")
    tell(OUT, f"page: {out}")


@cli.command(
    epilog=example(
        "unlabel scan photos/",
        "unlabel scan photos/ --budget 2h --html scan.html",
        "unlabel scan photos/ --run runs/simclr-photos-1 --budget none",
    )
)
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--budget", default="30m", show_default=True, help="Time to train that is planned for; none: no plan.")
@click.option("--run", type=click.Path(), help="A run whose network also looks for nearly the same pictures.")
@click.option(
    "--distance", default=0.01, show_default=True, help="Cosine distance up to which two are nearly the same to it."
)
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write a page with pictures.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
@click.option("--all", "every", is_flag=True, help="List every file and group, not only the first 20.")
def scan(
    folder: str, budget: str, run: str | None, distance: float, html: str | None, as_json: bool, every: bool
) -> None:
    """Look through a folder before training, and say what to train with.

    Told are: pictures that are in both training and test split, files that cannot be read, copies and near copies,
    constant, tiny and huge pictures, sizes, brightness, channels, classes and their balance. Then a run is proposed
    that suits the pictures, this machine and the time, each option with its reason; speeds are timed here.
    """
    import json

    from unlabel import api
    from unlabel.cli.scanned import show
    from unlabel.engine.places import check_file

    if html is not None:
        check_file(html)
    found = api.scan(folder, run=run, distance=distance, budget=None if budget == "none" else budget, console=LOG)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1))
    else:
        show(found, every=every)
    if html is not None:  # last: what was found is told, whatever becomes of the page
        page = found.write(html)
        if not as_json:
            tell(OUT, f"page: {page}")


@cli.command(epilog=example("unlabel pack photos/ -o photos.pack --size 256", "unlabel pack --verify photos.pack"))
@click.argument("data", metavar="DIR", required=False)
@click.option("-o", "--out", metavar="FILE", help="The pack to write, or to go on with where packing was cut off.")
@click.option(
    "--size", default=256, show_default=True, help="Shorter side in pixels; smaller pictures stay as they are."
)
@click.option(
    "--quality", default="90", show_default=True, help="Of the JPEGs in it, 1 to 100; raw: pixels as they are."
)
@click.option("--verify", metavar="FILE", help="Check every picture of a pack instead of writing one.")
def pack(data: str | None, out: str | None, size: int, quality: str, verify: str | None) -> None:
    """Put all pictures of a folder into one file, shrunk, from which training reads faster than from files."""
    from unlabel import api

    if (verify is None) == (data is None) or (data is not None and out is None):
        raise Fault(
            "give a folder and a file (`unlabel pack DIR -o FILE.pack`), or a pack to check (--verify FILE.pack)"
        )
    if quality != "raw" and not quality.isdecimal():
        raise Fault(f"--quality is a number from 1 to 100, or raw, not {quality}")
    with _counting("packing" if data else "checking") as progress:
        if data is None or out is None:
            count = api.verify_pack(str(verify), progress=progress)
        else:
            done = api.pack(
                data, out=out, size=size, quality=None if quality == "raw" else int(quality), progress=progress
            )
    if data is None:
        tell(OUT, f"{verify}: {count:,} pictures, all as they were packed")
        return
    tell(OUT, f"{out}: {done.pictures:,} pictures, {done.bytes / 1e6:,.1f} MB")
    for unreadable in done.skipped:
        tell(OUT, f"left out: {unreadable}")


@cli.command(
    epilog=example(
        "unlabel saliency photos/ -o photos-masks/", "unlabel pretrain cast --data photos/ --saliency photos-masks/"
    )
)
@click.argument("data", metavar="DIR")
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False), help="Folder for the masks.")
def saliency(data: str, out: str) -> None:
    """Look for the object that stands out in each picture, and write masks of them."""
    from unlabel import api

    with _counting("looking") as progress:
        written, skipped = api.saliency(data, out=out, progress=progress)
    tell(OUT, f"{out}: {written:,} masks")
    for unreadable in skipped:
        tell(OUT, f"left out: {unreadable}")


@contextmanager
def _counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that shows how many of how many are done, as it is told."""
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), console=LOG, disable=not LOG.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
