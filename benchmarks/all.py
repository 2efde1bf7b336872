"""Runs the benchmarks one after the other: `make bench` a quick pass, `make bench-all` the whole.

    python benchmarks/all.py [--quick]

The whole writes benchmarks/results and the tables of docs/speed.md. The quick pass takes less than ten minutes, fewer
rounds and sizes, and writes what it found to runs/bench instead.
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
    "objective.py": ["--rounds", "1", "--sizes", "1024", "4096"],
    "step.py": ["--rounds", "2", "--methods", "simclr", "mae", "--seconds", "3"],
    "evaluation.py": ["--rounds", "2", "--memory", "10000", "--queries", "2000"],
    "packs.py": ["--rounds", "2", "--pictures", "128"],
}
WHOLE: dict[str, list[str]] = {
    "views.py": [],
    "objective.py": ["--sizes", "512", "1024", "4096", "16384", "65536"],
    "step.py": [],
    "loader.py": [],
    "evaluation.py": [],
    "packs.py": [],
    "scaling.py": [],
    "memory.py": [],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    environment = os.environ | ({"BENCH_RESULTS": "runs/bench"} if arguments.quick else {})
    failed = []
    for script, options in (QUICK if arguments.quick else WHOLE).items():
        print(f"\n== {script} {' '.join(options)}", flush=True)
        begun = time.monotonic()
        if subprocess.run([sys.executable, HERE / script, *options], env=environment, check=False).returncode:
            failed.append(script)
        print(f"== {script}: {time.monotonic() - begun:.0f} s", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
