"""Commands that only look: methods, explain, scan."""

import click
from rich.table import Table

from unlabel.cli import LOG, OUT, cli, example


@cli.command(epilog=example("unlabel methods"))
def methods() -> None:
    """List the methods, by family."""
    from unlabel import catalogue

    table = Table("name", "title", "family", "year", "arXiv")
    for entry in catalogue.entries():
        table.add_row(f"[bold]{entry.name}[/]", entry.title, entry.family, str(entry.year), entry.paper)
    OUT.print(table)
    OUT.print("`unlabel explain NAME` shows one of them: equation, symbols, data flow, defaults.", highlight=False)


@cli.command(epilog=example("unlabel explain simclr"))
@click.argument("method")
def explain(method: str) -> None:
    """Show a method: equation, symbols, data flow, defaults, recipes, reference."""
    from unlabel import catalogue

    entry = catalogue.entry(method)
    OUT.print(
        f"[bold]{entry.title}[/] ({entry.year}), {entry.family}, https://arxiv.org/abs/{entry.paper}\n",
        highlight=False,
    )
    OUT.print(entry.text, highlight=False, markup=False)
    for title, rows in (
        ("hyperparameters of the method", entry.hyper),
        ("optimisation (the paper's)", entry.plan),
    ):
        table = Table("option", "default", title=title, title_justify="left")
        for name, value in rows.items():
            table.add_row(name, str(value))
        OUT.print(table)
    recipes = Table("recipe", "what for, what it costs", "values", title="recipes", title_justify="left")
    for name, (text, values) in entry.recipes.items():
        recipes.add_row(name, text, " ".join(f"{k}={v}" for k, v in values.items()))
    OUT.print(recipes)


@cli.command(epilog=example("unlabel scan photos/"))
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option("--all", "every", is_flag=True, help="List every unreadable file and duplicate, not only the first 20.")
def scan(folder: str, every: bool) -> None:
    """Look through a folder before training: unreadable, tiny and duplicate files, sizes, classes."""
    from rich.progress import Progress

    from unlabel.cli.scanned import show
    from unlabel.data.scan import scan as look

    with Progress(console=LOG, transient=True, disable=not LOG.is_terminal) as bar:
        task = bar.add_task("looking", total=None)
        found = look(folder, progress=lambda done, total: bar.update(task, completed=done, total=total))
    show(found, every=every)
