"""What lies in a run folder, read with patience: whatever is missing or broken becomes a sentence, not a crash."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from unlabel.errors import Fault

_MANY_LINES = 200_000  # beyond this many lines of metrics, ordinary updates are read with a stride


@dataclass(frozen=True)
class Embeddings:
    """The evaluation queries.

    paths   n names, label [n] int64 (-1 = unknown), vectors [n, D] float32, all finite
    tile    [n] position of each row's thumbnail in the sprite
    dropped rows left out because their vector held a value that is no finite number
    """

    paths: list[str]
    labels: np.ndarray
    vectors: np.ndarray
    tile: np.ndarray
    dropped: int = 0


@dataclass(frozen=True)
class Sprite:
    """All thumbnails in one picture: tile i lies in row i // columns, column i % columns."""

    image: Image.Image
    encoded: bytes
    tile: int
    columns: int
    count: int

    def crop(self, i: int) -> Image.Image:
        """Thumbnail i."""
        top, left = (i // self.columns) * self.tile, (i % self.columns) * self.tile
        return self.image.crop((left, top, left + self.tile, top + self.tile))


@dataclass(frozen=True)
class RunFiles:
    """Everything the report is made of.

    run         run.json
    updates     training lines of metrics.jsonl, one per update, in order
    monitors    monitor lines, each {"update", "epoch", "seconds", **monitor values}
    notes       what could not be read, one sentence each
    """

    folder: Path
    run: dict[str, Any]
    updates: list[dict[str, Any]]
    monitors: list[dict[str, Any]]
    evaluation: dict[str, Any] | None
    embeddings: Embeddings | None
    sprite: Sprite | None
    pictures: dict[str, Image.Image]
    skipped: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)

    def classes(self) -> list[str] | None:
        """Names of the classes, from the evaluation or from the data."""
        data = self.run.get("data")
        for found in ((self.evaluation or {}).get("classes"), data.get("classes") if isinstance(data, dict) else None):
            if isinstance(found, list):
                return [str(name) for name in found]
        return None


def check_named(run: dict[str, Any], path: Path) -> None:
    """Fault where run.json, which is this file, does not say which method was trained."""
    chosen = run.get("run")
    if not isinstance(chosen, dict) or "method" not in chosen:
        raise Fault(f"{path} does not say which method was trained: it is damaged, or of another program")


def read_run(folder: Path, *, pictures: bool = True) -> RunFiles:
    """Reads a run folder; pictures=False leaves embeddings, pictures and skipped files unread.

    Fault: it holds no run.json, or one that is no JSON object.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise Fault(
            f"`{folder}` is not a run folder: it holds no run.json; give the folder that `unlabel pretrain` wrote"
        )
    try:
        run = _object(path)
    except ValueError as error:
        raise Fault(f"`{path}` cannot be read as JSON ({error}); restore it or train again") from error
    notes: list[str] = []
    updates, monitors = _metrics(folder / "metrics.jsonl", notes)
    evaluation = None
    if (folder / "evaluation.json").is_file():
        try:
            evaluation = _object(folder / "evaluation.json")
        except ValueError as error:
            notes.append(f"evaluation.json cannot be read as JSON ({error}); `unlabel evaluate` writes it anew.")
    return RunFiles(
        folder=folder,
        run=run,
        updates=updates,
        monitors=monitors,
        evaluation=evaluation,
        embeddings=_embeddings(folder / "embeddings.parquet", notes) if pictures else None,
        sprite=_sprite(folder / "artifacts", notes) if pictures else None,
        pictures=_pictures(folder / "artifacts", notes) if pictures else {},
        skipped=_lines(folder / "skipped.jsonl", notes) if pictures else [],
        notes=notes,
    )


def _object(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes().decode("utf-8", "replace"))  # NaN and Infinity are read as such
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    return found


def _lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """One object per line. A run that was killed leaves half a last line: it is passed over in silence."""
    if not path.is_file():
        return []
    raw = path.read_bytes().splitlines()
    # Very long runs: every monitor line and every line with a value that is not finite, else one in `stride`.
    stride = 1 + len(raw) // _MANY_LINES
    found, broken = [], 0
    for i, line in enumerate(raw):
        if i % stride and not any(mark in line for mark in (b'"monitor"', b"NaN", b"Infinity", b"null")):
            continue
        try:
            entry = json.loads(line.decode("utf-8", "replace"))
        except ValueError:
            broken += bool(line.strip()) and i < len(raw) - 1
            continue
        if isinstance(entry, dict):
            found.append(entry)
    if broken:
        notes.append(f"{path.name}: {broken:,} broken line{'s were' if broken > 1 else ' was'} passed over.")
    return found


def _metrics(path: Path, notes: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training and monitor lines, the last one of each update (a resumed run may have written some twice)."""
    updates: dict[int, dict[str, Any]] = {}
    monitors: dict[int, dict[str, Any]] = {}
    for entry in _lines(path, notes):
        update = entry.get("update")
        if not isinstance(update, int):
            continue
        if isinstance(entry.get("monitor"), dict):
            monitors[update] = {**entry, **entry["monitor"]}
        if "loss" in entry:
            updates[update] = entry
    return [updates[u] for u in sorted(updates)], [monitors[u] for u in sorted(monitors)]


def _embeddings(path: Path, notes: list[str]) -> Embeddings | None:
    if not path.is_file():
        return None
    try:
        table = pq.read_table(path, columns=["path", "label", "vector"])
        vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        notes.append(
            f"embeddings.parquet cannot be read ({str(error).splitlines()[0]}); `unlabel evaluate` writes it anew."
        )
        return None
    if vectors.ndim != 2:
        return None  # no rows at all
    keep = np.asarray(np.isfinite(vectors).all(axis=1))
    labels = np.array([-1 if label is None else label for label in table["label"].to_pylist()], dtype=np.int64)
    paths = [str(name) for name in table["path"].to_pylist()]
    if not keep.all():
        notes.append(
            f"{(~keep).sum():,} of {len(keep):,} embeddings hold a value that is not a finite number and are left out "
            "of the map and the neighbours: the network has diverged, or its weights were damaged."
        )
    return Embeddings(
        paths=[name for name, kept in zip(paths, keep, strict=True) if kept],
        labels=labels[keep],
        vectors=vectors[keep],
        tile=np.flatnonzero(keep),
        dropped=int((~keep).sum()),
    )


def _sprite(folder: Path, notes: list[str]) -> Sprite | None:
    picture, shape = folder / "thumbnails.jpg", folder / "thumbnails.json"
    if not (picture.is_file() and shape.is_file()):
        return None
    try:
        facts = _object(shape)
        tile, columns, count = (int(facts[key]) for key in ("tile", "columns", "count"))
        image = _open(picture)
    except (ValueError, KeyError, TypeError, OSError, Image.DecompressionBombError) as error:
        notes.append(f"The thumbnails cannot be read ({error}).")
        return None
    if count < 1 or columns < 1 or image.height < -(-count // columns) * tile or image.width < columns * tile:
        notes.append("thumbnails.json and thumbnails.jpg do not fit together; the thumbnails are left out.")
        return None
    return Sprite(image, picture.read_bytes(), tile, columns, count)


def _pictures(folder: Path, notes: list[str]) -> dict[str, Image.Image]:
    """artifacts/*.png by stem, in order of name."""
    found = {}
    for path in sorted(folder.glob("*.png")):
        try:
            found[path.stem] = _open(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            notes.append(f"artifacts/{path.name} cannot be read ({error}).")
    return found


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")
