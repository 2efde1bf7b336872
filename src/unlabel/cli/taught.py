"""Commands that go on from a run with labels: finetune, distil."""

from typing import Any

import click

from unlabel.cli import LOG, OUT, cli, conclude, example
from unlabel.cli.arguments import parse
from unlabel.console import tell
from unlabel.errors import Faults

_WHAT = {
    "finetune": "Train the backbone of RUN to classify, with few labels, and the same from scratch as its control.",
    "distil": "Teach a student what the fine-tuned RUN says of images, labelled or not.",
}
_EXAMPLES = {
    "finetune": (
        "unlabel finetune runs/simclr-photos-1 --labels 0.1",
        "unlabel finetune runs/simclr-photos-1 --labels 1%,10%,100%",
        "unlabel finetune runs/simclr_v2-photos-1 --labels 0.01 --epochs 60",
    ),
    "distil": (
        "unlabel distil runs/finetune-photos-1",
        "unlabel distil runs/finetune-photos-1 --data more-photos/ --backbone resnet18 --temperature 2",
    ),
}
_OWN = {
    "finetune": {
        "labels": "share of the images whose labels are used, as many of each class: 0.1 or 10%; several with commas "
        "are a run and a control each, and one table",
        "from_head": "layers of the run's projector that stay on the backbone: 0 none, -1 all; "
        "default: 1 for SimCLR v2, 0 for others",
        "scratch": "begin with random weights instead of the run's",
    },
    "distil": {
        "backbone": "the student's network by name; default: the teacher's",
        "temperature": "of both softmaxes",
        "alpha": "weight of the teacher; the labels get 1 - alpha",
        "from_teacher": "begin with the weights of the teacher's backbone",
    },
}
_SETTLED = ("method", "data_b", "eval_data_b", "size", "backbone")  # options of pretrain that the run has settled


class _Taught(click.Command):
    """Its help is made when it is asked for: it lists the options of runs."""

    def get_help(self, ctx: click.Context) -> str:
        from unlabel.engine.run import HELP

        name = str(self.name)
        rows = {**_OWN[name], **{option: text for option, text in HELP.items() if option not in _SETTLED}}
        width = max(len(option) for option in rows)
        options = "\n".join(f"  {option.replace('_', '-'):<{width}}  {text}" for option, text in rows.items())
        self.help = (
            f"{_WHAT[name]}\n\nEvery option is written --name VALUE, --name=VALUE or name=VALUE. --resume RUN goes on "
            f"with a run of this command exactly where it stopped.\n\n\b\nOptions:\n{options}\n\n"
            + example(*_EXAMPLES[name])
        )
        return super().get_help(ctx)


_FREE = {"ignore_unknown_options": True, "allow_extra_args": True}
_WORDS = click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="RUN [NAME=VALUE]...")


@cli.command(cls=_Taught, short_help="Train a run's backbone to classify, with few labels.", context_settings=_FREE)
@_WORDS
def finetune(words: tuple[str, ...]) -> None:
    """Read the words as options and train."""
    _go("finetune", words)


@cli.command(cls=_Taught, short_help="Teach a student what a fine-tuned run says.", context_settings=_FREE)
@_WORDS
def distil(words: tuple[str, ...]) -> None:
    """Read the words as options and train."""
    _go("distil", words)


def _go(name: str, words: tuple[str, ...]) -> None:
    from unlabel.engine.run import FLAGS

    positional, options, faults = parse(words, FLAGS)
    if len(positional) > 1:
        faults.append(f"unexpected `{positional[1]}`: options are written --name VALUE or name=VALUE")
    if faults:
        raise Faults(faults)
    from unlabel import api

    resume = options.pop("resume", None)
    run = positional[0] if positional else None
    function: Any = {"finetune": api.finetune, "distil": api.distil}[name]
    result = function(run, resume=resume, console=LOG, **options)
    if "shares" in (result.evaluation or {}):
        _table(result.evaluation)
    conclude(result)


def _table(found: Any) -> None:
    """Every share of the labels beside its control."""
    from rich.table import Table

    from unlabel.evaluation.kinds import line
    from unlabel.reporting.shares_page import HEAD, table

    shown = Table(*HEAD, title="classified right, %")
    for row in table(found):
        shown.add_row(*row)
    OUT.print(shown)
    tell(OUT, line(found["shares"][-1]["protocol"]))
