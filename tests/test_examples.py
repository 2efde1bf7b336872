"""The examples that need no files of the user's run as they are."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def said_by(name: str) -> list[str]:
    done = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


def test_a_plain_loop_learns() -> None:
    losses = [float(line.split()[1]) for line in said_by("own_loop.py")]
    assert losses[-1] < losses[0]


def test_a_method_of_ones_own_trains() -> None:
    assert said_by("own_method.py")[-1].startswith("{'agree'")
