"""Many methods on the same images under one protocol: some seeds each, one process a run, one leaderboard."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from unlabel import methods
from unlabel.data import open_source
from unlabel.engine import options as engine_options
from unlabel.engine.callbacks import Signals
from unlabel.engine.folder import RunFolder, read_json, write_json
from unlabel.engine.loggers import need
from unlabel.errors import Fault, Faults, Interrupted
from unlabel.reporting.leaderboard import write_leaderboard

_OWN = ("out", "seed", "resume", "method", "controls")
"""Options of a single run that a bench sets itself."""

_GLANCE = 0.1  # seconds between looks at whether a run is over


def bench(
    entries: Sequence[str],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    out: str | Path = "runs/bench",
    console: Console | None = None,
    **options: Any,
) -> Path:
    """Train every entry with every seed and compare: `unlabel.bench(["simclr", "byol"], data="DIR", budget="5m")`.

    entries  a method with options of its own in one text, such as "simclr" or "simclr objective=dcl"; or the name of a
             family, for all its methods
    seeds    one run of every entry for each
    out      folder of the runs and of leaderboard.html, .md and .json, which are written again after every run;
             finished runs are kept and not repeated, one that was cut off goes on
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
    _check(rows, chosen, seeds)
    same_bench(out, chosen)
    places = [(entry, seed, out / _folder_name(entry, seed)) for seed in seeds for entry in rows]
    begun = time.monotonic()
    for done, (entry, seed, place) in enumerate(places):
        if not _finished(place):
            console.print(f"{done + 1} of {len(places)}: {entry}, seed {seed}", highlight=False)
            method, own = rows[entry]
            _train(method, {**own, "seed": seed, "controls": str(out)}, place, console)
        by_entry = {e: [p for other, _, p in places[: done + 1] if other == e] for e in rows}
        page = write_leaderboard(out, by_entry)
    console.print(f"{len(places)} runs after {(time.monotonic() - begun) / 60:.0f} min: {page}", highlight=False)
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
    method, *words = shlex.split(entry)
    own = {}
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise Fault(f"`{word}` in the entry `{entry}` is no option: write name=value")
        own[name.removeprefix("--").replace("-", "_")] = value
    return method, own


def _check(rows: dict[str, tuple[str, dict[str, Any]]], chosen: dict[str, Any], seeds: Sequence[int]) -> None:
    faults = [f"`{name}` is not for a bench: it sets this option itself" for name in _OWN if name in chosen]
    if not seeds or len(set(seeds)) < len(seeds):
        faults.append(f"seeds must be different numbers, at least one, not {', '.join(map(str, seeds)) or 'none'}")
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


def same_bench(out: Path, chosen: dict[str, Any]) -> None:
    """One folder holds one comparison: Fault if it was begun with other options."""
    path, said = out / "bench.json", {name: str(value) for name, value in sorted(chosen.items())}
    if path.exists():
        before = read_json(path, f"{path} is damaged: choose another --out")
        if before != said:
            different = sorted(name for name in before.keys() | said.keys() if before.get(name) != said.get(name))
            raise Fault(
                f"{out} was begun with another {', '.join(different)}, and its runs would not compare: "
                "choose another --out, or give the options as they were"
            )
    elif out.exists() and any(path.name != "remarks.json" for path in out.iterdir()):
        raise Fault(f"{out} exists and is no bench: choose another --out")
    else:
        write_json(path, said)


def _folder_name(entry: str, seed: int) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.]+', '-', entry)}-{seed}"


def _finished(place: Path) -> bool:
    run = RunFolder(place)
    return run.run_json.exists() and bool(run.read().get("finished"))


def _train(method: str, chosen: dict[str, Any], place: Path, console: Console) -> None:
    """One run, in a process of its own, so that its memory and its crash are its own; what it says goes to a file."""
    run = RunFolder(place)
    if run.run_json.exists():
        words = ["--resume", str(place)]
    else:
        words = [method, *(f"{name}={value}" for name, value in chosen.items()), f"out={place}"]
    log = place.with_name(f"{place.name}.log")
    command = [sys.executable, "-m", "unlabel", "pretrain", *words]
    with open(log, "w", encoding="utf-8") as lines, Signals() as signals:
        # In a session of its own the run is told to stop once, by us, and saves what it has.
        child = subprocess.Popen(command, stdout=lines, stderr=subprocess.STDOUT, start_new_session=True)
        while child.poll() is None and not signals.asked:
            time.sleep(_GLANCE)
        if signals.asked:
            child.terminate()
            child.wait()
            raise Interrupted(f"stopped in {place}; the same command goes on from there")
    if status := child.returncode:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        console.print(f"  failed: {said[-1] if said else status}; {log} has all it said", highlight=False, markup=False)
