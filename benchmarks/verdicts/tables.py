"""Judges the recorded runs and writes docs/verdicts.md: how often verdicts are right, and what ending early costs.

python benchmarks/verdicts/tables.py [--tuning]

Rules are tuned on one half of the runs alone: --tuning prints that half's mistakes. The page shows the other half.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import truth as rules
from entries import ENTRIES, RUNS, STOPPED, halves
from records import history, load

from unlabel.diagnostics import STATES, Stop, Verdict, stop, title, verdict

PAGE = Path(__file__).parents[2] / "docs" / "verdicts.md"
WAYS = {
    "with labels": "while training, with live kNN",
    "without labels": "while training, without any label",
    "evaluated": "after training, evaluated with labels",
}
Pair = tuple[str, str]


def judged(found: dict[str, Any], way: str) -> Verdict:
    """The verdict on a recorded run at its end, by what there is in one of WAYS."""
    lines = history(found, labels=way != "without labels")
    final = found["evaluation"] if way == "evaluated" else None
    return verdict(lines, final=final, finished=final is not None, collapse_values=found["collapse_values"])


def pair(found: dict[str, Any], way: str) -> Pair:
    """What is the case, and what the verdict says."""
    return rules.truth(found, afterwards=way == "evaluated"), judged(found, way).state


def simulated(found: dict[str, Any], *, labels: bool) -> Stop | None:
    """What `stop_when_done` would have decided in a run that went on, from its journal alone."""
    lines = history(found, labels=labels)
    for place, line in enumerate(lines):
        if "monitor" in line:
            decided = stop(
                lines[: place + 1], updates=found["updates"], warmup=found["warmup"],
                collapse_values=found["collapse_values"],
            )  # fmt: skip
            if decided is not None:
                return decided
    return None


# ------------------------------------------------------------------ tables


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _states(pairs: Sequence[Pair]) -> list[str]:
    seen = {state for one in pairs for state in one}
    return [state for state in STATES if state in seen]


def confusion(pairs: Sequence[Pair]) -> str:
    """Rows: what is the case; columns: what the verdict says."""
    states, counts = _states(pairs), Counter(pairs)
    rows = [
        [title(row), *(_bold(counts[row, column], row == column) for column in states)]
        for row in states
        if any(counts[row, column] for column in states)
    ]
    return markdown(["what is the case", *map(title, states)], rows)


def _bold(count: int, right: bool) -> str:
    return "·" if not count else f"**{count}**" if right else str(count)


def scores(pairs: Sequence[Pair]) -> str:
    """Precision and recall of every state."""
    rows = []
    for state in _states(pairs):
        right = sum(one == (state, state) for one in pairs)
        said, there = (sum(one[i] == state for one in pairs) for i in (1, 0))
        rows.append([title(state), str(there), _share(right, said), _share(right, there)])
    return markdown(["state", "runs", "precision", "recall"], rows)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} ({part}/{whole})" if whole else "–"


FAILED = ("collapsed", "dimensional-collapse", "diverging", "loss-at-collapse")


def alarm(pairs: Sequence[Pair]) -> str:
    """The same of what matters most: whether something has failed, whatever its name."""
    case, said = ([one[i] in FAILED for one in pairs] for i in (0, 1))
    both = sum(a and b for a, b in zip(case, said, strict=True))
    return (
        f"As an alarm (a collapse of any kind, or diverging, be its name right or not): "
        f"precision {_share(both, sum(said))}, recall {_share(both, sum(case))}."
    )


def right(pairs: Sequence[Pair]) -> str:
    """How many verdicts are right."""
    return _share(sum(a == b for a, b in pairs), len(pairs))


def _knn(found: dict[str, Any]) -> float | None:
    value = ((found["evaluation"] or {}).get("knn") or {}).get("run")
    return None if value is None else float(value)


def stopping(records: dict[str, dict[str, Any]]) -> str:
    """What ending early cost and saved, the same run with and without."""
    parts = []
    for made, words in (("overlong", "Given far too many epochs"), ("healthy", "Given few")):
        rows, lost, saved = [], [], []
        for entry in STOPPED:
            short, whole = records.get(entry.name), records.get(entry.of or "")
            if entry.made != made or short is None or whole is None:
                continue
            before, after = _knn(whole), _knn(short)
            done = short["stopped"]["updates"] if short["stopped"] else short["updates"]
            share = 100 * (1 - done / whole["updates"])
            name = f"{entry.method} on {entry.data}, {entry.options['limit']} images"
            if before is None or after is None:
                continue
            rows.append([name, str(whole["updates"]), str(done), f"{share:.0f} %", f"{before:.1f} %", f"{after:.1f} %",
                         f"{before - after:+.1f}"])  # fmt: skip
            lost.append(before - after)
            saved.append(share)
        if rows:
            many = sum(share > 0 for share in saved)
            said = (
                f"{words}: {many} of {len(rows)} ended early; on average {fmean(saved):.0f} % of the updates were "
                f"saved and {fmean(lost):.1f} points of kNN lost, at most {max(lost):.1f}."
            )
            head = ["run", "updates planned", "done", "saved", "kNN at full length", "kNN", "lost"]
            parts.append(f"{said}\n\n{markdown(head, rows)}")
    return "\n\n".join(parts) or "Not measured yet."


def foretold(records: dict[str, dict[str, Any]]) -> str:
    """Which update every recorded run would have ended at, by its journal, with and without labels."""
    rows = []
    for run in RUNS:
        found = records.get(run.name)
        if found is None or found["stopped"]:
            continue
        ends = [simulated(found, labels=labels) for labels in (True, False)]
        if any(ends):
            cells = ["–" if s is None else f"{title(s.state)}: {s.decided}, ends after {s.end}" for s in ends]
            rows.append([f"`{run.name}`", title(rules.truth(found)), str(found["updates"]), *cells])
    return markdown(["run", "what is the case", "updates", "with labels", "without labels"], rows)


def every(records: dict[str, dict[str, Any]], half: dict[str, str]) -> str:
    """All runs with what is the case and what the verdicts say."""
    rows = []
    for run in RUNS:
        if run.name in records:
            said = [judged(records[run.name], way).state for way in WAYS]
            rows.append([f"`{run.name}`", half[run.name], title(rules.truth(records[run.name])), *map(title, said)])
    return markdown(["run", "half", "what is the case", *WAYS], rows)


def page(records: dict[str, dict[str, Any]]) -> str:
    """The whole of docs/verdicts.md."""
    half = halves()
    found = [records[run.name] for run in RUNS if run.name in records]
    parts = [
        "# Verdicts\n\nWritten by `benchmarks/verdicts/tables.py` from the records beside it. A verdict turns the "
        "numbers of a run into a state, a sentence and an advice, while it trains and after, by the rules below, and "
        f"`--stop-when-done` goes by what it says. Here verdicts are judged like a classifier, on {len(found)} of "
        f"{len(RUNS)} short runs that were made to learn, to collapse in every way the methods allow, to diverge, to "
        "be too short or too long: "
        f"{len({run['method'] for run in found})} methods, {len({run['data'] for run in found})} sets of images. "
        "Thresholds were chosen by hand on one half of them; the tables show the other half. Halves are drawn by a "
        "hash of the run's name, evenly in each kind. A name says how a run was made, not how it ended. For plateaus "
        "both truth and verdict come from live kNN, so their agreement proves little; what it costs to believe them is "
        "measured below. Without labels nothing can tell a run that learns from one whose views or images teach it "
        "nothing that the labels ask for.",
        f"## The rules\n\n{_said(import_module('unlabel.diagnostics.verdict'))}",
        f"## The rules of `--stop-when-done`\n\n{_said(import_module('unlabel.diagnostics.stopping'))}",
        f"## What counts as true\n\n{_said(rules)}",
    ]
    for way, words in WAYS.items():
        sets = {name: [pair(run, way) for run in found if half[run["name"]] == name] for name in ("tuning", "test")}
        if sets["test"]:
            test = sets["test"]
            parts.append(
                f"## {words[0].upper()}{words[1:]}\n\nRight: {right(test)} of the half that was held out, "
                f"{right(sets['tuning'])} of the other. {alarm(test)}\n\n{scores(test)}\n\n{confusion(test)}"
            )
    parts += [
        "## Ending early\n\nThe same run, same seed, with and without `--stop-when-done`. kNN is that of the "
        "evaluation, on 1,000 to 2,000 images, where one standard error is about one point.\n\n" + stopping(records),
        "## When the others would have ended\n\nBy their journals alone; runs that are not in the table would have "
        f"gone on to their end.\n\n{foretold(records)}",
        f"## All runs\n\n{every(records, half)}",
        "## To repeat\n\n    .venv/bin/python benchmarks/verdicts/run.py --cifar10 DIR --tinyimagenet DIR",
    ]
    return "\n\n".join(parts) + "\n"


def _said(module: ModuleType) -> str:
    """The docstring of a module; its rules are indented, so Markdown leaves them as they are."""
    return (module.__doc__ or "").strip()


def write() -> None:
    """Write the page from the records there are."""
    PAGE.write_text(page({name: found for name, found in load().items() if name in ENTRIES}))


def mistakes(half: str = "tuning") -> None:
    """Print what the rules get wrong in one half, and when its runs would have ended."""
    records = load()
    for run in RUNS:
        if halves()[run.name] != half or run.name not in records:
            continue
        found = records[run.name]
        for way in WAYS:
            case, said = pair(found, way)
            if case != said:
                print(f"{run.name}, {way}: {case}, but said {said}: {judged(found, way).sentence}")
        for labels in (True, False):
            end = simulated(found, labels=labels)
            if end is not None and not found["stopped"]:
                knn = [(update, reading.get("knn")) for update, reading in found["readings"]]
                at = next(value for update, value in knn if update >= end.decided)
                print(f"  {run.name}: {'' if labels else 'un'}labelled {end.state} at {end.decided}, ends {end.end} of "
                      f"{found['updates']}; live kNN {at}, at last {knn[-1][1]}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuning", action="store_true")
    if parser.parse_args().tuning:
        mistakes()
    else:
        write()


if __name__ == "__main__":
    main()
