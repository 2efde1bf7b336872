"""Writes the README's tables: the methods from their files, the evidence from the records beside this file.

python benchmarks/evidence/tables.py
"""

import json
import statistics
from pathlib import Path
from typing import Any

from unlabel import catalogue
from unlabel.reporting.words import spread

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
MARK, END = "<!-- {}: written by benchmarks/evidence/tables.py -->", "<!-- /{} -->"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _begin(record: dict[str, Any]) -> list[str]:
    """The first cells of a row: which method, how long, how many seeds."""
    seeds = record["seeds"]
    epochs = statistics.mean(seed["epochs"] for seed in seeds)
    length = f"{record['options']['budget']} ({epochs:.1f} epochs)"
    return [catalogue.entry(record["method"]).title, length, str(len(seeds))]


def representation(records: list[dict[str, Any]]) -> str:
    """Accuracy of frozen features beside the controls."""
    head = ["method", "training", "seeds", "backbone", "kNN", "linear", "random weights: kNN", "linear",
            "raw pixels: kNN", "linear"]  # fmt: skip
    rows = []
    for record in records:
        cells = []
        for who in ("run", "random", "pixels"):
            cells.append(spread([seed["knn"][who] for seed in record["seeds"]]))
            cells.append(spread([seed["linear"][who]["top1"] for seed in record["seeds"]]))
        rows.append([*_begin(record), record["backbone"]["name"], *cells])
    return markdown(head, rows)


def translation(records: list[dict[str, Any]]) -> str:
    """Distance to the target domain and to the hidden partner, beside untouched inputs."""
    head = ["method", "training", "seeds", "features", "FD", "PSNR, dB", "SSIM", "untouched inputs: FD", "PSNR", "SSIM",
            "FD of two samples of the target"]  # fmt: skip
    rows = []
    for record in records:
        found = [seed["translation"] for seed in record["seeds"]]
        cells = []
        for who in ("translation", "identity"):
            for name, digits in (("fd", 2), ("psnr", 1), ("ssim", 2)):
                cells.append(spread([one[who][name] for one in found], digits))
        floor = spread([one["fd_floor"] for one in found], 2)
        rows.append([*_begin(record), found[0]["protocol"]["features"], *cells, floor])
    return markdown(head, rows)


def texts(records: list[dict[str, Any]]) -> str:
    """Images named by their class and found by their text, beside guessing."""
    head = ["method", "training", "seeds", "zero-shot top-1", "chance", "images by text: recall@1", "@5", "@10",
            "chance", "texts by image: recall@1", "@5", "@10", "chance"]  # fmt: skip
    rows = []
    for record in records:
        seeds = record["seeds"]
        cells = [spread([seed["zeroshot"][key] for seed in seeds]) for key in ("top1", "chance1")]
        for way in ("text_to_image", "image_to_text"):
            found = [seed["retrieval"][way] for seed in seeds]
            cells += [spread([one["at"][str(k)] for one in found]) for k in (1, 5, 10)]
            cells.append(" / ".join(f"{found[0]['chance'][str(k)]:.1f}" for k in (1, 5, 10)))
        rows.append([*_begin(record), *cells])
    return markdown(head, rows)


def evidence(records: list[dict[str, Any]]) -> str:
    """The tables, as far as there are records."""
    kinds = (
        (representation, [r for r in records if r["seeds"][0]["knn"] and "retrieval" not in r["seeds"][0]]),
        (translation, [r for r in records if r["seeds"][0]["translation"]]),
        (texts, [r for r in records if "retrieval" in r["seeds"][0]]),
    )
    return "\n\n".join(make(some) for make, some in kinds if some) or "No runs are recorded yet."


def methods() -> str:
    """All methods, from their files."""
    head = ["name", "method", "family", "year", "paper"]
    return markdown(head, [
        [f"`{entry.name}`", entry.title, entry.family, str(entry.year),
         f"[{entry.paper}]({entry.address})" if entry.paper else "none"]
        for entry in catalogue.entries()
    ])  # fmt: skip


def put(text: str, name: str, content: str) -> str:
    """The text with `content` between the marks called `name`."""
    begin, end = MARK.format(name), END.format(name)
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def write_tables() -> None:
    """Put both tables into the README, between their marks."""
    records = [json.loads(path.read_text()) for path in sorted(HERE.glob("*.json"))]
    text = put(README.read_text(), "methods", methods())
    README.write_text(put(text, "evidence", evidence(records)))


if __name__ == "__main__":
    write_tables()
