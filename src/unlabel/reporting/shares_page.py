"""Fine-tuning with several shares of the labels as one HTML page: a table, bars for each share, the protocol."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from unlabel.engine.folder import write_atomically
from unlabel.evaluation.kinds import line
from unlabel.reporting.classified import ROLES, WHO
from unlabel.reporting.page import policy


def write_shares(path: Path, found: Mapping[str, Any]) -> Path:
    """Write the page of what finetuning.json holds, finished or not; returns its path. It loads nothing."""
    package = files("unlabel.reporting")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(package.joinpath("shares.html.j2").read_text(encoding="utf-8"))
    rows = found["shares"]
    page = template.render(
        style=Markup(package.joinpath("page.css").read_text(encoding="utf-8")),
        policy=policy([]),
        run=found["run"],
        left=[percent_of(share) for share in found["asked"][len(rows) :]],
        head=HEAD,
        rows=table(found),
        bars=[
            (percent_of(row["share"]), [_bar(who, row["classification"].get(who)) for who in ("run", "scratch")])
            for row in rows
        ],
        links=[(percent_of(row["share"]), f"{row['folder']}/report.html") for row in rows],
        protocol=line(rows[-1]["protocol"]) if rows else "",
    )
    write_atomically(path, page.encode("utf-8", "replace"))
    return path


HEAD = ["labels", "images", "updates", "top-1", "from scratch", "gain", "top-5", "from scratch"]
"""What the columns of `table` are."""


def table(found: Mapping[str, Any]) -> list[list[str]]:
    """A row for each share that is finished; numbers in per cent, the gain in points."""
    rows = []
    for row in found["shares"]:
        own, scratch = (row["classification"].get(who) or {} for who in ("run", "scratch"))
        gain = own["top1"] - scratch["top1"] if "top1" in scratch else None
        rows.append(
            [
                percent_of(row["share"]),
                f"{row['labels']:,}",
                f"{row['updates']:,}",
                *(_score(of.get("top1")) for of in (own, scratch)),
                "–" if gain is None else f"{gain:+.1f}".replace("-", "−"),
                *(_score(of.get("top5")) for of in (own, scratch)),
            ]
        )
    return rows


def percent_of(share: float) -> str:
    """A share as it is spoken of: 1 %."""
    return f"{100 * share:.4g} %"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _bar(who: str, scores: Mapping[str, float] | None) -> tuple[str, str, float, str]:
    """Words, number, length in per cent and role of a bar."""
    value = (scores or {}).get("top1")
    return WHO[who], _score(value), value or 0.0, ROLES[who]
