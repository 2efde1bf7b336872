"""Repeats the studies of `studies.py`: trains what they compare and records what came out.

    python benchmarks/evidence/run.py --cifar10 DIR --facades DIR --tinyimagenet DIR --camvid DIR [--only NAME ...]

--cifar10 holds train/CLASS and test/CLASS; --tinyimagenet holds pictures of 64 px in folders of classes; --camvid holds
train and test, each with images and masks, of which 11 is void; --facades holds train/labels, train/photo, val/labels
and val/photo, where equal names are one building: training never learns which, so the pairs are a hidden answer to
measure against.
Finished runs are not repeated, even on another machine (kept.py), and a run that was cut off goes on where it was in
--runs. Each study's record is written to benchmarks/evidence/STUDY.json, the tables to README.md and docs/evidence.md.
"""

import argparse
import json
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from kept import FILES, FOLDERS, keep, restore
from studies import STUDIES
from tables import write_tables

import unlabel
from unlabel.api.benching import same_bench
from unlabel.errors import Interrupted

HERE = Path(__file__).parent


def with_folders(options: dict[str, Any], folders: dict[str, Path | None]) -> dict[str, Any]:
    """Options with the user's folders in them; SystemExit where one is missing."""
    given = {name: str(path) for name, path in folders.items() if path is not None}
    try:
        return {name: value.format(**given) if isinstance(value, str) else value for name, value in options.items()}
    except KeyError as missing:
        raise SystemExit(f"this study needs the folder --{missing.args[0]}") from missing


def _place(path: str) -> str:
    """The end of a path, which means something on other machines too."""
    return "/".join(Path(path).parts[-3:])


def record(name: str, out: Path) -> dict[str, Any]:
    """The leaderboard of a study without what belongs to this machine alone."""
    board: dict[str, Any] = json.loads((out / "leaderboard.json").read_text())
    if (board["protocol"] or {}).get("data"):
        board["protocol"]["data"] = _place(board["protocol"]["data"])
    study = STUDIES[name]
    return {"study": name, "options": study.options, "jobs": study.jobs, "unlabel": unlabel.__version__, **board}


def segment_all(out: Path, options: dict[str, Any]) -> None:
    """What `unlabel segment` says of every finished run, where it was not asked yet."""
    for run in sorted(out.glob("*/backbone.json")):
        if not (run.parent / "segmentation.json").exists():
            unlabel.segment(run.parent, **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in FOLDERS:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--only", nargs="+", default=list(STUDIES), choices=list(STUDIES))
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of each study's own")
    parser.add_argument("--runs", type=Path, default=Path("runs/evidence"))
    arguments = parser.parse_args()
    for name in arguments.only:
        study, out = STUDIES[name], arguments.runs / name
        folders = {folder: getattr(arguments, folder) for folder in FOLDERS}
        chosen = with_folders(study.options, folders)
        remarks = HERE / "remarks.json"
        out.mkdir(parents=True, exist_ok=True)
        (out / "remarks.json").write_text(json.dumps(json.loads(remarks.read_text()).get(name, {})))
        same_bench(out, chosen, study.jobs)
        told = {**study.options, "jobs": study.jobs}
        restore(name, out, folders, told)
        compare = partial(unlabel.bench, study.entries, out=out, jobs=study.jobs, **chosen)
        for seeds in accumulate([[seed] for seed in arguments.seeds or study.seeds]):
            try:
                compare(seeds=seeds)
                if study.segment is not None:
                    segment_all(out, with_folders(study.segment, folders))
                    compare(seeds=seeds)  # nothing is left to train: the leaderboard alone is written again
            except Interrupted as asked:
                raise SystemExit(str(asked)) from None
            finally:
                keep(name, out, folders, told, needs=FILES if study.segment else FILES[:3])
        (HERE / f"{name}.json").write_text(json.dumps(record(name, out), indent=1) + "\n")
        write_tables()


if __name__ == "__main__":
    main()
