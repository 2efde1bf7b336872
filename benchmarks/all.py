"""Runs the benchmarks one after the other: `make bench` a quick pass, `make bench-all` the whole.

    python benchmarks/all.py [--quick] [--cifar10 DIR]

The whole writes benchmarks/results and the tables of docs/speed.md. The quick pass takes less than ten minutes, fewer
rounds and sizes, and writes what it found to runs/bench instead. With --cifar10 (a folder with train/CLASS and
test/CLASS) the whole trains on its files too, which takes hours: time to quality alone trains for six.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUICK = {
    "views.py": ["--rounds", "2", "--pictures", "64"],
    "objective.py": ["--rounds", "1", "--sizes", "512", "1024", "4096"],
    "step.py": ["--rounds", "2", "--methods", "simclr", "mae", "--seconds", "3"],
    "evaluation.py": ["--rounds", "2", "--memory", "10000", "--queries", "2000"],
    "loader.py": ["--rounds", "1", "--seconds", "4"],
    "packs.py": ["--rounds", "2", "--pictures", "128"],
}
WHOLE: dict[str, list[str]] = {
    "views.py": [],
    "objective.py": [],
    "step.py": [],
    "loader.py": [],
    "evaluation.py": [],
    "packs.py": [],
    "scaling.py": [],
    "memory.py": [],
}
WITH_CIFAR10 = {"precision.py": ["--limit", "5000"], "quality.py": []}
"""Part of the whole where --cifar10 says where its files are; quality.py trains for six hours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cifar10", help="a folder with train/CLASS and test/CLASS")
    arguments = parser.parse_args()
    scripts = dict(QUICK if arguments.quick else WHOLE)
    if arguments.cifar10 and not arguments.quick:
        scripts["loader.py"] = ["--data", f"{arguments.cifar10}/train"]
        scripts |= {name: ["--cifar10", arguments.cifar10, *more] for name, more in WITH_CIFAR10.items()}
    elif not arguments.quick:
        print(f"without --cifar10 these do not run: {', '.join(WITH_CIFAR10)}")
    environment = os.environ | ({"BENCH_RESULTS": "runs/bench"} if arguments.quick else {})
    failed = []
    for script, options in scripts.items():
        print(f"\n== {script} {' '.join(options)}", flush=True)
        begun = time.monotonic()
        if subprocess.run([sys.executable, HERE / script, *options], env=environment, check=False).returncode:
            failed.append(script)
        print(f"== {script}: {time.monotonic() - begun:.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
