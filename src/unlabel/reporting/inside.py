"""A look inside a network as files of its run folder: a sheet for each figure, and inside.json to say what is what."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from unlabel.engine.folder import write_json
from unlabel.evaluation.inside import Inside
from unlabel.evaluation.prototypes import Prototypes
from unlabel.nn.attention_map import to_most
from unlabel.reporting.sheets import over, read_sheet, shown, squares, write_sheet
from unlabel.views import View

FIGURES = ("attention", "heat", "colours")
HEADS = 6  # that are shown
_FACTS = "inside.json"


@dataclass(frozen=True)
class Sheet:
    """The cells of a figure: a row for each image; what its columns are called."""

    columns: list[str]
    cells: list[list[Image.Image]]


@dataclass(frozen=True)
class Look:
    """What inside.json and its sheets say.

    facts   inside.json; None where it is missing or damaged
    paths   names of the images
    sheets  by name of the figure, those that can be read
    notes   what could not be read, one sentence each
    """

    facts: dict[str, Any] | None = None
    paths: list[str] = field(default_factory=list)
    sheets: dict[str, Sheet] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def write_inside(
    folder: Path, seen: Inside, view: View, prototypes: Prototypes | None = None, paths: Sequence[str] = ()
) -> None:
    """Write inside.json and inside-NAME.jpg for each figure there is; remove those that an earlier look left.

    folder      made where it is absent
    view        how the images were rendered
    prototypes  of the images called `paths`, whose thumbnails lie in the same order in thumbnails.jpg
    """
    cells = shown(seen.x, view)
    figures: dict[str, tuple[list[str], list[Tensor]]] = {}
    if seen.attention is not None:
        heads = seen.attention[:, :HEADS]
        maps = [to_most(seen.attention.mean(dim=1)), *to_most(heads).unbind(dim=1)]
        names = ["mean", *(f"head {i + 1}" for i in range(heads.shape[1]))]
        figures["attention"] = (names, [over(cells, heat, smooth=False) for heat in maps])
    if seen.heat is not None:
        figures["heat"] = (["Grad-CAM"], [over(cells, seen.heat, smooth=True)])
    if seen.colours is not None:
        figures["colours"] = (["components"], [squares(seen.colours)])
    for name in FIGURES:
        (folder / f"inside-{name}.jpg").unlink(missing_ok=True)
    for name, (_, columns) in figures.items():
        write_sheet(list(zip(cells, *columns, strict=True)), folder / f"inside-{name}.jpg")
    write_json(folder / _FACTS, {
        "images": seen.paths,
        "figures": {name: ["image", *names] for name, (names, _) in figures.items()},
        "absent": seen.absent, "asks": seen.asks,
        "heads": 0 if seen.attention is None else seen.attention.shape[1],
        "prototypes": None if prototypes is None else _prototypes(prototypes, paths),
    })  # fmt: skip


def _prototypes(found: Prototypes, paths: Sequence[str]) -> dict[str, Any]:
    return {
        "count": found.count, "used": found.used, "images": found.images,
        "most": [{
            "number": one.number, "share": one.share,
            "images": [
                {"tile": row, "path": paths[row], "likely": likely}
                for row, likely in zip(one.rows, one.likely, strict=True)
            ],
        } for one in found.most],
    }  # fmt: skip


def read_inside(folder: Path) -> Look:
    """What `write_inside` left in a folder; what cannot be read becomes a note. Older runs have nothing."""
    path = folder / _FACTS
    if not path.is_file():
        return Look()
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        paths = [str(name) for name in facts["images"]]
        columns = {
            name: [str(column) for column in facts["figures"][name]] for name in FIGURES if name in facts["figures"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Look(
            notes=[f"artifacts/{_FACTS} is damaged ({type(error).__name__}); `unlabel evaluate` writes it anew."]
        )
    look = Look(facts, paths)
    for name, titles in columns.items():
        try:
            cells = read_sheet(folder / f"inside-{name}.jpg", len(paths), len(titles))
        except (OSError, ValueError, SyntaxError, ZeroDivisionError, Image.DecompressionBombError) as error:
            look.notes.append(
                f"artifacts/inside-{name}.jpg is missing or damaged ({type(error).__name__}); `unlabel evaluate` "
                "writes it anew."
            )
        else:
            look.sheets[name] = Sheet(titles, cells)
    return look
