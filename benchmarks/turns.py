"""Contestants that run for ever, in processes that take turns of a few seconds: the others are stopped meanwhile.

On a machine that others use, speed changes from minute to minute by more than contestants differ. Turns are short, and
ratios are taken within a round, so that all meet the same weather; starting them costs nothing that is measured.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WARM = 14  # steps before the first turn: ours tries by then how threads shall wait


@dataclass
class _Contestant:
    process: subprocess.Popen
    lines: Path
    turns: list[tuple[float, float]]

    def signal(self, what: signal.Signals) -> None:
        os.killpg(self.process.pid, what)  # with its worker processes

    def steps(self) -> list[tuple[float, float]]:
        """(end, seconds) of each step so far."""
        return [tuple(map(float, line.split())) for line in self.lines.read_text().splitlines() if " " in line]


def tell(seconds: float) -> None:
    """What a contestant says after each step."""
    print(f"{time.time():.6f} {seconds:.6f}", flush=True)


def rates(commands: dict[str, list[str]], *, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Steps a second of each contestant in each round. A command is a Python script with its arguments."""
    with tempfile.TemporaryDirectory() as place:
        contestants: dict[str, _Contestant] = {}
        try:
            for name, command in commands.items():
                contestants[name] = _started(command, Path(place) / str(len(contestants)))
            for _ in range(rounds):
                for contestant in contestants.values():
                    contestant.signal(signal.SIGCONT)
                    begun = time.time()
                    time.sleep(seconds)
                    contestant.signal(signal.SIGSTOP)
                    contestant.turns.append((begun, time.time()))
            return {
                name: [_rate(contestant, turn) for turn in contestant.turns] for name, contestant in contestants.items()
            }
        finally:
            for contestant in contestants.values():
                contestant.signal(signal.SIGKILL)


def _started(command: list[str], lines: Path) -> _Contestant:
    errors = lines.with_suffix(".errors")
    with open(lines, "w") as out, open(errors, "w") as wrong:
        process = subprocess.Popen([sys.executable, *command], stdout=out, stderr=wrong, start_new_session=True)
    contestant = _Contestant(process, lines, [])
    while len(contestant.steps()) < WARM:
        if process.poll() is not None:
            raise RuntimeError(f"{command} ended:\n{errors.read_text()[-4000:]}")
        time.sleep(0.1)
    contestant.signal(signal.SIGSTOP)
    return contestant


def _rate(contestant: _Contestant, turn: tuple[float, float]) -> float:
    """Of the steps that lie within a turn: their number by their time. A mean, for batches may come in bursts."""
    inside = [seconds for end, seconds in contestant.steps() if end - seconds >= turn[0] and end <= turn[1]]
    if not inside:
        raise RuntimeError("a turn is shorter than a step: give it more --seconds")
    return len(inside) / sum(inside)
