"""The commands of `unlabel`. Each does what the function of the same name in `unlabel` does."""

import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from unlabel import __version__
from unlabel.cli.arguments import parse
from unlabel.console import tell
from unlabel.errors import Fault, Faults, Interrupted

if TYPE_CHECKING:
    from unlabel.api import Result

OUT = Console(soft_wrap=True, markup=False)
LOG = Console(stderr=True, soft_wrap=True, markup=False)

INTERRUPTED = 130  # the shell's number for a process that Ctrl-C ended


def example(*lines: str) -> str:
    """The end of a help text: commands that work as they are written."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def conclude(result: "Result") -> None:
    """The end of a command that trains or evaluates: the verdict with what to do now, and where the report is."""
    if (judged := result.verdict) is not None:
        OUT.print(Text.assemble((judged.title, "bold"), f": {judged.clause} {judged.advice}"))
    tell(OUT, f"report: {result.report}" if result.report else f"run folder: {result.folder}")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="unlabel")
def cli() -> None:
    """Self-supervised learning for computer vision.

    Unlabelled pictures in, a pre-trained backbone and an honest report out.
    """


def _pretrain_help() -> str:
    from unlabel.engine.run import HELP

    width = max(len(name) for name in HELP)
    options = "\n".join(
        f"  {name.replace('_', '-'):<{width}}  {text}" for name, text in HELP.items() if name != "method"
    )
    return (
        "Pre-train METHOD on unlabelled images and write a run folder with the backbone and a report.\n\n"
        "Every option is written --name VALUE, --name=VALUE or name=VALUE; the method's own hyperparameters too "
        "(`unlabel explain METHOD` lists them). --resume RUN goes on with a run exactly where it stopped.\n\n"
        f"\b\nOptions:\n{options}\n\n"
        + example(
            "unlabel pretrain simclr --data shapes",
            "unlabel pretrain simclr --data photos/ --budget 20m temperature=0.2",
            "unlabel pretrain byol --data photos/ --views byol:6x96",
            "unlabel pretrain cut --data horses/ --data-b zebras/ --size 128",
            "unlabel pretrain --resume runs/simclr-photos-1",
        )
    )


class _Pretrain(click.Command):
    """The command whose options are those of the method: its help is made when it is asked for."""

    def get_help(self, ctx: click.Context) -> str:
        self.help = _pretrain_help()
        return super().get_help(ctx)


@cli.command(
    cls=_Pretrain,
    short_help="Pre-train a method on unlabelled images.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="METHOD --data DIR [NAME=VALUE]...")
def pretrain(words: tuple[str, ...]) -> None:
    """Read the words as options of the run and train."""
    from unlabel.engine.run import FLAGS

    positional, options, faults = parse(words, FLAGS)
    if len(positional) > 1:
        faults.append(f"unexpected `{positional[1]}`: options are written --name VALUE or name=VALUE")
    from unlabel import api
    from unlabel.engine.options import check

    resume = options.pop("resume", None)
    name = positional[0] if positional else options.pop("method", None)
    if faults:
        try:
            if name is not None:
                check(name, options)
        except Faults as more:
            faults += more.faults
        raise Faults(faults)
    conclude(api.pretrain(name, resume=resume, console=LOG, **options))


def commands() -> click.Group:
    """The group with all of its commands, which join it when their files are imported."""
    from unlabel.cli import after, bench, compare, look, taught, texts  # noqa: F401

    return cli


def main() -> None:
    """Run the command line; a user's mistake ends with status 2 and sentences, never with a traceback."""
    try:
        commands()(standalone_mode=False)
    except Faults as several:
        _say([*several.faults])
    except Fault as fault:
        _say([str(fault)])
    except Interrupted as stop:
        tell(LOG, stop)
        sys.exit(INTERRUPTED)
    except click.exceptions.NoArgsIsHelpError as question:
        question.show()
        sys.exit(2)
    except click.ClickException as mistake:
        mistake.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        tell(LOG, "stopped")
        sys.exit(INTERRUPTED)


def _say(faults: list[str]) -> None:
    for fault in faults:
        click.echo(f"unlabel: {fault}", err=True)
    sys.exit(2)
