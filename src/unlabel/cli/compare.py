"""The command that puts runs side by side."""

import json
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from unlabel.cli import OUT, cli, example
from unlabel.console import printable, tell
from unlabel.errors import Fault

if TYPE_CHECKING:
    from unlabel.reporting.comparison import Section

PAGE = "compare.html"


@cli.command(
    epilog=example(
        "unlabel compare runs/simclr-photos-1 runs/byol-photos-1",
        "unlabel compare runs/bench -o bench.html",
        "unlabel compare runs/ --json",
    )
)
@click.argument("runs", nargs=-1, metavar="RUN...", type=click.Path())
@click.option("-o", "--out", type=click.Path(dir_okay=False), help=f"Page to write. Default: {PAGE}; with --json none.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead.")
def compare(runs: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Put runs side by side in one table and one page, with error bars over seeds.

    A RUN is a run folder, or a folder that holds some, such as what `unlabel bench` left. Runs that differ only in
    their seed are one row; what differs between rows is in their names. Numbers that were not measured alike are kept
    in tables of their own.
    """
    if not runs:
        raise Fault("no runs given: name run folders, or a folder of some, for example `unlabel compare runs/bench`")
    from unlabel import api

    found = api.compare(runs, out or (None if as_json else PAGE))
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1))
        return
    from unlabel.reporting.comparison import heading

    title, shared = heading(found)
    tell(OUT, f"{title}: {', '.join(shared)}")
    for note in found.notes:
        tell(OUT, note)
    for section in found.sections:
        for table, protocols in _tables(section):
            OUT.print(table, soft_wrap=False)
            for protocol in protocols:
                tell(OUT, protocol)
    tell(OUT, f"page: {found.page}")


def _tables(section: "Section") -> list[tuple[Table, list[str]]]:
    """The first table of a section with verdicts, and the others, all with controls on top and their protocols."""
    from unlabel.reporting.topics import topics

    made = []
    last = section.controls[-1] if section.controls else None  # below it a line is drawn
    states = {id(line.row): line for line in section.lines}
    for caption, names in topics(section).items():
        table = Table(title=Text(printable(caption or section.title)), title_justify="left")
        table.add_column("")
        table.add_column("seeds", justify="right")
        for name in names:
            table.add_column(Text(printable(section.columns[name].title)), justify="right")
        if not caption:
            table.add_column("verdict")
        for row in section.rows:
            line = states.get(id(row))
            if line is None and not any(row.numbers.get(name) for name in names):
                continue
            cells = [row.cell(name, section.columns[name].decimals) for name in names]
            words = [] if caption else [line.state if line else ""]
            texts = [row.name, line.seeds if line else "", *cells, *words]
            shown = [Text(printable(text)) for text in texts]
            table.add_row(*shown, style=None if line else "italic", end_section=row is last)
        if not caption and section.usual:
            usual = f"where a name does not say otherwise: {', '.join(section.usual)}"
            table.caption = Text(printable(usual))
        made.append((table, section.protocols(names)))
    return made
