"""Runs that are there already, side by side: their seeds as one row, their numbers beside their controls."""

from collections.abc import Sequence
from pathlib import Path

from unlabel.engine.places import check_file
from unlabel.errors import writing
from unlabel.reporting.comparison import Comparison, comparison
from unlabel.reporting.comparison_page import write_comparison
from unlabel.reporting.members import read_runs


def compare(runs: Sequence[str | Path] | str | Path, out: str | Path | None = None) -> Comparison:
    """Put runs side by side: `unlabel.compare(["runs/simclr-1", "runs/byol-1"], out="compare.html")`.

    runs  run folders, or folders of run folders, such as what `bench` left; runs that differ only in their seed are
          one row, mean and standard deviation over seeds
    out   the page to write; None: none

    Numbers that were measured by different protocols, or on different images, are kept in sections of their own. Runs
    that are not finished or not evaluated have a row that says so.
    Fault: no run, a run that is given twice, damaged files, a page that cannot be written.
    """
    if out is not None:
        check_file(out)
    found = comparison(read_runs([runs] if isinstance(runs, str | Path) else runs))
    if out is not None:
        with writing(out):
            found.page = write_comparison(Path(out), found)
    return found
