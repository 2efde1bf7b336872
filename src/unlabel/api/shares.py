"""Fine-tuning with several shares of the labels: a run and its control for each, and one table of them all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unlabel.api.pretraining import Result
from unlabel.engine.folder import RunFolder, read_json, write_json
from unlabel.errors import Fault, Interrupted, command
from unlabel.reporting.shares_page import write_shares

_FILE = "finetuning.json"


def shares_of(labels: Any) -> list[float]:
    """The shares that an option `labels` asks for: 0.1, "10%", "1%,10%,100%", [0.01, 0.1, 1]; smallest first.

    Fault for what is no share above 0 and up to 1.
    """
    if isinstance(labels, str):
        asked: Sequence[Any] = labels.split(",")
    else:
        asked = labels if isinstance(labels, Sequence) else [labels]
    return sorted({_share(one) for one in asked})


def _share(one: Any) -> float:
    text = str(one).strip()
    try:
        share = round(float(text[:-1]) / 100, 12) if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise Fault(
            f"option `labels` is a share of the images, such as 0.1 or 10%, or several with commas, not `{one}`"
        )
    return share


def is_series(folder: str | Path) -> bool:
    """Whether a folder holds runs of several shares."""
    return (Path(folder) / _FILE).exists()


def begin_series(
    run: Path, folder: Path, shares: Sequence[float], options: dict[str, Any], fit: Callable[[float, Path], Result]
) -> Result:
    """Fine-tune with each share, by `fit`, into a folder of its own inside `folder`; `options` are for going on."""
    write_json(
        folder / _FILE, {"run": str(run), "asked": list(shares), "options": options, "finished": False, "shares": []}
    )
    try:
        return _each(folder, fit, _never)
    except Fault:
        if not any(place.is_dir() for place in folder.iterdir()):  # refused before anything was begun
            (folder / _FILE).unlink()
            folder.rmdir()
        raise


def go_on_series(
    folder: Path, fit: Callable[[Path, float, Path, dict[str, Any]], Result], go_on: Callable[[Path], Result]
) -> Result:
    """Finish what a stopped series lacks: runs that were begun by `go_on`, the others by `fit`."""
    stored = read_json(folder / _FILE, f"{folder / _FILE} is damaged")
    return _each(folder, lambda share, out: fit(Path(stored["run"]), share, out, stored["options"]), go_on)


def _each(folder: Path, fit: Callable[[float, Path], Result], go_on: Callable[[Path], Result]) -> Result:
    stored = read_json(folder / _FILE, f"{folder / _FILE} is damaged")
    rows: list[dict[str, Any]] = []
    for share in stored["asked"]:
        place = RunFolder(folder / f"labels-{share:g}")
        try:
            if not place.run_json.exists():
                fit(share, place.path)
            elif not place.finished:
                go_on(place.path)
        except Interrupted as stop:
            raise Interrupted(
                f"stopped with {share:.3g} of the labels; everything is saved: go on with "
                f"`{command('finetune', '--resume', folder)}`"
            ) from stop
        rows.append(_row(share, place))
        stored = stored | {"shares": rows, "finished": len(rows) == len(stored["asked"])}
        write_json(folder / _FILE, stored)
        write_shares(folder / "report.html", stored)
    return Result(folder, folder / "report.html", None, stored)


def _never(path: Path) -> Result:
    raise ValueError(f"{path} was there before its series began")


def _row(share: float, place: RunFolder) -> dict[str, Any]:
    """What became of one share."""
    run = place.read()
    again = command("evaluate", place.path)
    found = read_json(place.evaluation, f"{place.evaluation} is missing or damaged: `{again}`")
    return {
        "share": share,
        "labels": run["labels"]["images"],
        "updates": run["updates"],
        "folder": place.path.name,
        "classification": found["classification"],
        "protocol": found["protocol"],
        "verdict": found["verdict"],
    }
