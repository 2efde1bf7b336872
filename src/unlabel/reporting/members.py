"""The runs that are put side by side: where they are, what they hold, what is refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlabel.engine.folder import RunFolder
from unlabel.errors import Fault
from unlabel.reporting.controls import kinds_of
from unlabel.reporting.files import RunFiles, check_named, read_run
from unlabel.reporting.rows import read_numbers

_DEPTH = 3  # folders below one that is given in which runs are looked for


@dataclass(frozen=True)
class Member:
    """One run: its folder, run.json, evaluation.json with cost and segmentations (whatever there is), its curves."""

    place: Path
    run: dict[str, Any]
    found: dict[str, Any]
    files: RunFiles

    @property
    def finished(self) -> bool:
        """Whether training has come to its end."""
        return bool(self.run.get("finished"))

    @property
    def kinds(self) -> list[str]:
        """What it has numbers of; those of a run that is not finished do not count."""
        return kinds_of(self.found) if self.finished else []

    @property
    def state(self) -> str:
        """The verdict in a word or two, or why there is none."""
        if not self.finished:
            done, total = (self.files.updates or [{"update": 0}])[-1]["update"], self.run.get("updates")
            return (
                f"not finished: {done:,} of {total:,} updates" if isinstance(total, int) and total else "not finished"
            )
        if not self.kinds:
            return "not evaluated"
        verdict = self.found.get("verdict")
        state = verdict.get("state") if isinstance(verdict, dict) else None
        return str(state or "not judged").replace("-", " ")


def read_runs(given: Iterable[str | Path]) -> list[Member]:
    """The runs in some folders: run folders, or folders that hold some. Fault: see `compare`."""
    places: dict[Path, Path] = {}
    for path in map(Path, given):
        for place in _runs_in(path):
            if place.resolve() in places:
                raise Fault(f"the run {place} is given twice: leave it out once, or it would count as two seeds")
            places[place.resolve()] = place
    if not places:
        raise Fault("no runs given: name run folders, or a folder of some, for example `unlabel compare runs/bench`")
    members = [_member(place) for place in places.values()]
    for i, one in enumerate(members):
        for other in members[:i]:
            if _decided(one.run) == _decided(other.run) and one.run.get("cost"):
                raise Fault(f"{one.place} is a copy of {other.place}: leave one out, or it would count as two seeds")
    return members


def _runs_in(path: Path) -> list[Path]:
    if RunFolder(path).run_json.is_file():
        return [path]
    if not path.exists():
        raise Fault(f"there is no folder {path}: name run folders, or a folder of some")
    found = sorted(_below(path, _DEPTH)) if path.is_dir() else []
    if not found:
        raise Fault(f"{path} is not a run folder, nor does it hold one: runs are made by `unlabel pretrain`")
    return found


def _below(path: Path, depth: int) -> Iterable[Path]:
    """Run folders below a folder; what lies in a run folder, such as the control of a fine-tuning, is part of it."""
    for child in path.iterdir():
        if not child.is_dir() or child.is_symlink():
            continue
        if RunFolder(child).run_json.is_file():
            yield child
        elif depth > 1:
            yield from _below(child, depth - 1)


def _member(place: Path) -> Member:
    files = read_run(place, pictures=False)
    check_named(files.run, place / "run.json")
    return Member(place, *read_numbers(place), files)


def _decided(run: dict[str, Any]) -> dict[str, Any]:
    """run.json without where it lies."""
    return {**run, "run": {name: value for name, value in run["run"].items() if name != "out"}}
