"""Trains the set of short runs that verdicts are judged by, records what came out, and writes docs/verdicts.md.

    python benchmarks/verdicts/run.py --cifar10 DIR --tinyimagenet DIR [--only NAME ...] [--runs DIR] [--list]

--cifar10 and --tinyimagenet hold train/CLASS and test/CLASS or val/CLASS. Some pictures of each are kept at 32 px in
--runs, beside a folder for each run. Finished runs are not repeated, one that was cut off goes on where it was: stop it
whenever you like. NAME may end in `*`. Each run's record is written to benchmarks/verdicts/records/NAME.json.
"""

import argparse
import fnmatch
import json
import time
from pathlib import Path

import numpy as np
from entries import ENTRIES, SETS, Entry
from PIL import Image
from records import RECORDS, record
from rich.console import Console
from tables import write

import unlabel
from unlabel.engine.folder import write_atomically
from unlabel.errors import Fault, Interrupted

SIDE = 32
CLASSES = {"cifar10": 10, "tinyimagenet": 20}
MOST = {"train": 3200, "test": 2000}  # pictures


def pictures(folder: Path, classes: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures [n, 32, 32, 3] and class numbers [n] of a folder's first classes, as many of each, always the same."""
    arrays, labels = [], []
    for label, place in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())[:classes]):
        for file in sorted(path for path in place.rglob("*") if path.is_file())[: most // classes]:
            with Image.open(file) as image:
                arrays.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)))
            labels.append(label)
    return np.stack(arrays), np.asarray(labels)


def prepare(name: str, folder: Path | None, runs: Path) -> str:
    """What to give as `data` for a set: the built-in shapes, or a file with few pictures, made on first use."""
    if name == "shapes":
        return "shapes:10000"
    file = runs / f"{name}.npz"
    if not file.exists():
        runs.mkdir(parents=True, exist_ok=True)
        if name == "noise":
            draw = np.random.default_rng(0)
            found = {s: (draw.integers(0, 256, (n, SIDE, SIDE, 3), np.uint8), np.arange(n) % 10)
                     for s, n in (("train", 1280), ("test", 1000))}  # fmt: skip
        elif folder is None:
            raise SystemExit(f"these runs need the folder --{name}")
        else:
            held_out = folder / "test" if (folder / "test").is_dir() else folder / "val"
            places = {"train": folder / "train", "test": held_out}
            found = {s: pictures(place, CLASSES[name], MOST[s]) for s, place in places.items()}
        named = {f"{kind}_{s}": found[s][i] for s in found for i, kind in enumerate("xy")}
        partial = file.with_suffix(".part.npz")
        np.savez(partial, **named)
        partial.rename(file)
    return str(file)


def train(entry: Entry, data: str, runs: Path) -> None:
    """Begin or go on with a run; a run that diverged has its record all the same."""
    out, console = runs / entry.name, Console(quiet=True)
    try:
        if (out / "run.json").exists():
            unlabel.pretrain(resume=out, console=console)
        else:
            given = {**entry.options, "data": data, "out": out, "controls": runs}
            unlabel.pretrain(entry.method, console=console, **given)
    except Fault as fault:
        if "not a finite number" not in str(fault):
            raise


def chosen(patterns: list[str] | None) -> list[Entry]:
    """The entries that are meant, in order; SystemExit for a pattern that means none."""
    for pattern in patterns or []:
        if not fnmatch.filter(ENTRIES, pattern):
            raise SystemExit(f"there is no run {pattern}: --list names them")
    return [e for e in ENTRIES.values() if not patterns or any(fnmatch.fnmatch(e.name, p) for p in patterns)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in CLASSES:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs/verdicts"))
    arguments = parser.parse_args()
    entries = chosen(arguments.only)
    if arguments.list:
        for entry in entries:
            options = " ".join(f"{name}={value}" for name, value in entry.options.items())
            print(f"{entry.name}: {entry.method} on {entry.data}: {options}")
        return
    RECORDS.mkdir(exist_ok=True)
    folders: dict[str, Path | None] = {name: getattr(arguments, name, None) for name in SETS}
    for number, entry in enumerate(entries, 1):
        target = RECORDS / f"{entry.name}.json"
        if not target.exists():
            begun = time.monotonic()
            try:
                train(entry, prepare(entry.data, folders[entry.data], arguments.runs), arguments.runs)
            except Interrupted:
                raise SystemExit("stopped; the same command goes on") from None
            except Fault as fault:
                print(f"{number}/{len(entries)} {entry.name} has no record: {fault}", flush=True)
                continue
            found = json.dumps(record(entry, arguments.runs / entry.name), separators=(",", ":"))
            write_atomically(target, f"{found}\n".encode())
            print(f"{number}/{len(entries)} {entry.name}: {time.monotonic() - begun:.0f} s", flush=True)
    write()


if __name__ == "__main__":
    main()
