"""Commands for a run that reads texts: zeroshot, retrieve."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from unlabel.cli import LOG, OUT, cli, example
from unlabel.cli.after import RUN
from unlabel.console import tell
from unlabel.errors import Fault

if TYPE_CHECKING:
    from unlabel.evaluation.image_text import Retrieval


@cli.command(
    epilog=example(
        "unlabel zeroshot runs/clip-shapes-1",
        'unlabel zeroshot runs/clip-photos-1 --data labelled/ --classes "cat,dog" --templates "a photo of a {}"',
    )
)
@RUN
@click.option("--data", help="Labelled images. Default: the test split of the run's own data.")
@click.option("--classes", help="Names of the data's classes in their order, with commas between, or a file of lines.")
@click.option("--templates", multiple=True, help="A sentence with {} for the class; several are averaged, or a file.")
def zeroshot(run: str, data: str | None, classes: str | None, templates: tuple[str, ...]) -> None:
    """Classify images by the names of their classes alone."""
    from unlabel import api
    from unlabel.evaluation.kinds import line
    from unlabel.evaluation.texts import TEMPLATE

    names = None if classes is None else _lines(classes) or [name.strip() for name in classes.split(",")]
    chosen = [line for text in templates for line in _lines(text) or [text]]
    found = api.zeroshot(run, data=data, classes=names, templates=chosen or (TEMPLATE,), console=LOG)
    table = Table("accuracy, %", "this run", "chance")
    table.add_row("zero-shot top-1", f"{found.top1:.1f}", f"{found.chance1:.1f}")
    if found.top5 is not None:
        table.add_row("zero-shot top-5", f"{found.top5:.1f}", f"{found.chance5:.1f}")
    OUT.print(table)
    tell(OUT, f"{found.images:,} images, {found.classes:,} classes")
    tell(OUT, line(found.protocol))


def _lines(text: str) -> list[str]:
    """The lines of the file that is called so; none where there is no such file."""
    if not os.path.isfile(text):
        return []
    try:
        return [line.strip() for line in Path(text).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as problem:
        raise Fault(f"{text} cannot be read as lines of UTF-8 text: {problem}") from None


@cli.command(
    epilog=example(
        "unlabel retrieve runs/clip-shapes-1",
        'unlabel retrieve runs/clip-photos-1 "two dogs in the snow" --data photos/ -o found.png',
        "unlabel retrieve runs/clip-photos-1 dogs.jpg --data captioned/",
    )
)
@RUN
@click.argument("query", required=False)
@click.option("--data", help="What is searched. Default: the test split of the run's own data.")
@click.option("-o", "--out", type=click.Path(dir_okay=False), help="Picture to write of the images that a text found.")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 100), help="How many to find.")
def retrieve(run: str, query: str | None, data: str | None, out: str | None, k: int) -> None:
    """Find images by a text, or captions by a picture; without QUERY, measure how often the right one is found."""
    from unlabel import api

    if query is None:
        if out is not None:
            raise Fault(f"{out} would show the images that a text finds: give a text to look for")
        _recalls(api.retrieve(run, data=data, console=LOG))
        return
    for name, cosine in api.retrieve(run, query, data=data, k=k, out=out, console=LOG):
        tell(OUT, f"{cosine:.4f}  {name}")
    if out is not None:
        tell(OUT, f"picture: {out}")


def _recalls(found: "Retrieval") -> None:
    """The table of both directions beside chance."""
    from unlabel.evaluation.kinds import line

    rows = (("images by text", found.text_to_image), ("texts by image", found.image_to_text))
    table = Table("recall, %", *(f"@{k}" for k in found.text_to_image.at))
    for name, recall in rows:
        table.add_row(name, *(f"{value:.1f}" for value in recall.at.values()))
        table.add_row("chance", *(f"{value:.1f}" for value in recall.chance.values()))
    OUT.print(table)
    images, texts = found.text_to_image.candidates, found.text_to_image.queries
    tell(OUT, f"{images:,} images, {texts:,} different texts")
    tell(OUT, line(found.protocol))
