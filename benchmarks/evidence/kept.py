"""Finished runs of a study without their weights, so that it goes on where it was, on any machine.

Each run is a line of benchmarks/evidence/runs/STUDY.jsonl: what it was told, what it measured and what its network is.
Put back into a run folder, that is all a leaderboard reads. What was told otherwise than a study says now stays out.
"""

import json
from pathlib import Path
from typing import Any

from unlabel.engine.folder import RunFolder, read_json, write_atomically, write_json

FOLDERS = ("cifar10", "facades", "tinyimagenet", "camvid")
"""What the user names; kept runs hold their places in braces."""

KEPT = Path(__file__).parent / "runs"
FILES = ("run.json", "backbone.json", "evaluation.json", "segmentation.json")
LEFT_OUT = ("spectrum", "confusion", "in_plain_timm")  # long, and no part of a leaderboard
DIGITS = 6


def keep(study: str, out: Path, folders: dict[str, Path | None], told: dict[str, Any], needs: tuple[str, ...]) -> None:
    """Write the finished runs below `out` that have all files they need, without folders of this machine.

    told  the options of the study, the user's folders in braces, and how many runs it trains at once
    """
    lines = []
    for place in sorted(path for path in out.iterdir() if all((path / name).exists() for name in needs)):
        if RunFolder(place).finished:
            read = {name: read_json(place / name, f"{place / name} is damaged") for name in _there(place)}
            lines.append(_swapped(json.dumps({"name": place.name, "told": told, **_short(read)}), _names(out, folders)))
    if lines:
        write_atomically(KEPT / f"{study}.jsonl", ("\n".join(lines) + "\n").encode())


def restore(study: str, out: Path, folders: dict[str, Path | None], told: dict[str, Any]) -> None:
    """Put the kept runs that `out` does not have into it, as if they had been trained here; see `keep`."""
    for line in _lines(study):
        found = json.loads(_swapped(line, {here: name for name, here in _names(out, folders).items()}))
        place, as_told = out / found.pop("name"), json.loads(line)["told"] == told
        del found["told"]
        if as_told and not (place / "run.json").exists():
            for name, content in sorted(found.items(), key=lambda item: item[0] == "run.json"):  # which says finished
                write_json(place / name, content)


def read(study: str) -> list[dict[str, Any]]:
    """The kept runs: "name", and what each file holds, the user's folders by their names alone."""
    plain = {f"{{{name}}}": name for name in (*FOLDERS, "runs")}
    return [json.loads(_swapped(line, plain)) for line in _lines(study)]


def _lines(study: str) -> list[str]:
    kept = KEPT / f"{study}.jsonl"
    return kept.read_text().splitlines() if kept.exists() else []


def _there(place: Path) -> list[str]:
    return [name for name in FILES if (place / name).exists()]


def _names(out: Path, folders: dict[str, Path | None]) -> dict[str, str]:
    given = {str(path): f"{{{name}}}" for name, path in folders.items() if path is not None}
    return {str(out): "{runs}", **given}


def _swapped(text: str, names: dict[str, str]) -> str:
    for name, instead in names.items():
        text = text.replace(json.dumps(name)[1:-1], json.dumps(instead)[1:-1])
    return text


def _short(value: Any) -> Any:
    """Numbers with six digits, without what is left out."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items() if name not in LEFT_OUT}
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value
