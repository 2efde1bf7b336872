"""The command that compares methods."""

import click

from unlabel.cli import LOG, OUT, cli, example
from unlabel.cli.arguments import parse
from unlabel.console import tell
from unlabel.errors import Fault


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=example(
        "unlabel bench simclr byol dino --data cifar10/train --eval-data cifar10/test --budget 5m --recipe minutes",
        'unlabel bench simclr "simclr objective=dcl" --data shapes --epochs 2 --seeds 0,1 --out runs/objectives',
        "unlabel bench simclr masked pretext --data photos/ --budget 20m",
    ),
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="ENTRY... --data DIR [NAME=VALUE]...")
def bench(words: tuple[str, ...]) -> None:
    """Train several methods on the same images and write a leaderboard beside the controls.

    An ENTRY is a method, a method with options of its own in quotes, or a family for all its methods. All other options
    are those of `unlabel pretrain`, the same for every run, and --seeds (default 0,1,2), --out (default runs/bench) and
    --jobs (default 1): so many runs at once, each on its share of the cores, for small networks gain little from a
    second one. Finished runs are kept: the same command goes on where it was stopped.
    """
    # An entry with options stands in quotes: what is before its first = is no name. A bare name=value is of every run.
    from unlabel.engine.run import FLAGS

    entries, options, faults = parse(words, FLAGS)
    if faults:
        raise Fault("; ".join(faults))
    seeds = options.pop("seeds", "0,1,2")
    if not all(part.strip().isdecimal() for part in seeds.split(",")):
        raise Fault(f"--seeds is whole numbers with commas between them, such as 0,1,2, not {seeds}")
    jobs = options.pop("jobs", "1")
    if not jobs.isdecimal():
        raise Fault(f"--jobs is a whole number, of runs at once, not {jobs}")
    out = options.pop("out", "runs/bench")
    from unlabel import api

    page = api.bench(
        entries, seeds=[int(part) for part in seeds.split(",")], out=out, jobs=int(jobs), console=LOG, **options
    )
    tell(OUT, f"leaderboard: {page}")
