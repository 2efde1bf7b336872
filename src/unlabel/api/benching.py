"""Many methods on the same images under one protocol: some seeds each, one process a run, one leaderboard."""

import hashlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from unlabel import methods
from unlabel.console import tell
from unlabel.data import open_source
from unlabel.data.ahead import cores
from unlabel.engine import options as engine_options
from unlabel.engine.callbacks import Signals
from unlabel.engine.folder import RunFolder, alone, read_json, write_json
from unlabel.engine.loggers import need
from unlabel.engine.places import check_folder
from unlabel.errors import Fault, Faults, Interrupted
from unlabel.reporting.leaderboard import last_words, log_of, remarks_in, write_leaderboard

_OWN = ("out", "seed", "resume", "method", "controls")
"""Options of a single run that a bench sets itself."""

_LONGEST = 150  # letters of a folder's name that come from an entry

_OPTIONS = "bench.json"  # what a bench was begun with

_GLANCE = 0.1  # seconds between looks at whether a run is over


class _Run(NamedTuple):
    """A run to be trained: what it is called in words, its method and options, and its folder."""

    title: str
    method: str
    options: dict[str, Any]
    place: Path


def bench(
    entries: Sequence[str],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    out: str | Path = "runs/bench",
    jobs: int = 1,
    console: Console | None = None,
    **options: Any,
) -> Path:
    """Train every entry with every seed and compare: `unlabel.bench(["simclr", "byol"], data="DIR", budget="5m")`.

    entries  a method with options of its own in one text, such as "simclr" or "simclr objective=dcl"; or the name of a
             family, for all its methods
    seeds    one run of every entry for each
    out      folder of the runs and of leaderboard.html, .md and .json, which are written again after every run;
             finished runs are kept and not repeated, one that was cut off goes on
    jobs     so many runs at once, each with its own share of the cores; a time budget is then one on that share
    options  those of `pretrain`, the same for every run; an entry's own come before them, and a method that brings its
             own network takes no `backbone`

    A run that fails takes its place in the leaderboard with its reason, and the others go on. Lines of remarks.json in
    `out` ({entry: sentence}) are shown beside the entries.
    Returns leaderboard.html. Faults, all at once, before anything starts; Interrupted after Ctrl-C.
    """
    console = console or Console(stderr=True)
    out = Path(out)
    chosen = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    rows = {entry: _options_of(entry, chosen) for entry in _expanded(entries)}
    _check(rows, chosen, seeds, jobs)
    same_bench(out, chosen, jobs)
    remarks_in(out)  # a mistake in there is told before anything starts
    begun = time.monotonic()
    places = {(entry, seed): out / _folder_name(entry, seed) for seed in seeds for entry in rows}
    done = {place for place in places.values() if _finished(place)}
    todo = [
        _Run(
            f"{number} of {len(places)}: {entry}, seed {seed}",
            method,
            own | {"seed": seed, "controls": str(out)},
            place,
        )
        for number, ((entry, seed), place) in enumerate(places.items(), 1)
        for method, own in (rows[entry],)
        if place not in done
    ]

    def written() -> Path:
        return write_leaderboard(
            out,
            {row: [place for (entry, _), place in places.items() if entry == row and place in done] for row in rows},
        )

    for ended in _trained(out, todo, jobs, console):
        done.add(ended)
        written()
    page = written()
    tell(console, f"{len(places)} runs after {(time.monotonic() - begun) / 60:.0f} min: {page}")
    return page


def _expanded(entries: Sequence[str]) -> list[str]:
    """The entries, with a family's name replaced by its methods; each once."""
    found: list[str] = []
    for entry in entries:
        family = [name for name in methods.available() if methods.get(name).family == entry]
        found += family or [" ".join(entry.split())]
    if not found:
        raise Fault("no entries given: name some methods, for example `unlabel bench simclr byol --data DIR`")
    return list(dict.fromkeys(found))


def _options_of(entry: str, common: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method of an entry and all of its options: the common ones, where it has none of its own."""
    method, own = _own_options(entry)
    known = method in methods.available()  # else it is refused in a moment, with its nearest name
    if known and not engine_options.needs_backbone(methods.get(method)):
        common = {name: value for name, value in common.items() if name != "backbone"}
    return method, {**common, **own}


def _own_options(entry: str) -> tuple[str, dict[str, str]]:
    """ "simclr objective=dcl" -> "simclr", {"objective": "dcl"}."""
    try:
        method, *words = shlex.split(entry)
    except ValueError:
        raise Fault(f"the entry `{entry}` opens a quotation mark that it does not close") from None
    own = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise Fault(f"`{word}` in the entry `{entry}` is no option: write name=value")
        own[name.removeprefix("--").replace("-", "_")] = value
    return method, own


def _check(
    rows: dict[str, tuple[str, dict[str, Any]]], chosen: dict[str, Any], seeds: Sequence[int], jobs: int
) -> None:
    faults = [f"`{name}` is not for a bench: it sets this option itself" for name in _OWN if name in chosen]
    if not seeds or len(set(seeds)) < len(seeds):
        faults.append(f"seeds must be different numbers, at least one, not {', '.join(map(str, seeds)) or 'none'}")
    if not 1 <= jobs <= cores():
        faults.append(f"jobs must be from 1 to {cores()}, the number of cores there are, not {jobs}")
    for entry, (method, own) in rows.items():
        try:
            need(engine_options.check(method, own).run.get("log"))
        except Faults as several:
            faults += [f"{fault} (entry `{entry}`)" for fault in several.faults]
        except Fault as fault:
            faults.append(str(fault))
    for name in ("data", "data_b", "eval_data", "eval_data_b"):  # what is missing would stop every run
        for spec in dict.fromkeys(own[name] for _, own in rows.values() if own.get(name)):
            try:
                open_source(spec)
            except Fault as fault:
                faults.append(str(fault))
    if faults:
        raise Faults(list(dict.fromkeys(faults)))


def same_bench(out: Path, chosen: dict[str, Any], jobs: int = 1) -> None:
    """One folder holds one comparison: Fault if it was begun with other options, or another share of the cores."""
    chosen = chosen | ({"jobs": jobs} if jobs > 1 else {})
    path, said = out / _OPTIONS, {name: str(value) for name, value in sorted(chosen.items())}
    if path.exists():
        before = read_json(path, f"{path} is damaged: choose another --out")
        if before != said:
            different = sorted(name for name in before.keys() | said.keys() if before.get(name) != said.get(name))
            raise Fault(
                f"{out} was begun with another {', '.join(different)}, and its runs would not compare: "
                "choose another --out, or give the options as they were"
            )
    elif out.is_dir() and any(path.name != "remarks.json" for path in out.iterdir()):
        raise Fault(f"{out} exists and is no bench: choose another --out")
    else:
        check_folder(out)
        write_json(path, said)


def _folder_name(entry: str, seed: int) -> str:
    """A name that is readable, and no other entry's: what a folder cannot be called is told apart by a digest."""
    name = re.sub(r"[ =]", "-", entry)
    safe = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:_LONGEST]
    if safe != name:
        safe += f"-{hashlib.sha256(entry.encode('utf-8', 'replace')).hexdigest()[:6]}"
    return f"{safe}-{seed}"


def _finished(place: Path) -> bool:
    run = RunFolder(place)
    return run.run_json.exists() and run.finished


def _shares(jobs: int) -> list[set[int] | None]:
    """The cores of each of so many runs at once, as many for each; None: those there are, where none can be chosen."""
    if not hasattr(os, "sched_setaffinity"):
        return [None] * jobs
    mine = sorted(os.sched_getaffinity(0))
    each = len(mine) // jobs
    return [set(mine[i * each : (i + 1) * each]) for i in range(jobs)]


def _trained(out: Path, todo: Sequence[_Run], jobs: int, console: Console) -> Iterator[Path]:
    """Train runs, `jobs` at once; the folder of each when it has ended. Interrupted after Ctrl-C, all told to save.

    Fault where another process is at it.
    """
    waiting, free = deque(todo), _shares(jobs)
    running: dict[subprocess.Popen[bytes], tuple[Path, set[int] | None]] = {}
    other = f"another bench trains the runs in {out}: wait for its end, or stop it"
    with alone(out / _OPTIONS, other), Signals() as signals:
        try:
            while (waiting or running) and not signals.asked:
                while waiting and free:
                    run, share = waiting.popleft(), free.pop()
                    tell(console, run.title)
                    running[_start(run, share)] = run.place, share
                time.sleep(_GLANCE)
                for child in [child for child in running if child.poll() is not None]:
                    place, share = running.pop(child)
                    free.append(share)
                    _tell_of_failure(place, child.returncode, console)
                    yield place
            if signals.asked:
                where = "".join(f" in {place}" for place, _ in running.values())
                raise Interrupted(f"stopped{where}; the same command goes on from there")
        finally:  # whatever happened, no training is left behind
            for child in running:
                child.terminate()
            for child in running:
                child.wait()


def _start(run: _Run, share: set[int] | None) -> "subprocess.Popen[bytes]":
    """One run, in a process of its own, so that its memory and its crash are its own; what it says goes to a file."""
    if RunFolder(run.place).run_json.exists():
        words = ["--resume", str(run.place)]
    else:
        words = [run.method, *(f"{name}={_as_word(value)}" for name, value in run.options.items()), f"out={run.place}"]
    command = [sys.executable, "-m", "unlabel", "pretrain", *words]
    with open(log_of(run.place), "w", encoding="utf-8") as lines, _on(share):
        # In a session of its own the run is told to stop once, by us, and saves what it has.
        return subprocess.Popen(command, stdout=lines, stderr=subprocess.STDOUT, start_new_session=True)


def _as_word(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(map(_as_word, value))
    return "none" if value is None else str(value)


@contextmanager
def _on(share: set[int] | None) -> Iterator[None]:
    """A process begun inside has these cores alone: it takes the affinity of the thread that begins it."""
    if share is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, share)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tell_of_failure(place: Path, status: int, console: Console) -> None:
    if status:
        words = f"  {place.name} failed: {last_words(place) or status}; {log_of(place)} has all it said"
        tell(console, words)
