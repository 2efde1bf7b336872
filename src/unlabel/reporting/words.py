"""Numbers and names as a person would say them."""

import math
import statistics
from collections.abc import Sequence
from html import escape
from pathlib import PurePath
from typing import Any


def finite(value: Any) -> float | None:
    """The value as a finite float, or None: absent, not a number, infinite, or no number at all."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def nested(value: Any) -> dict[str, Any]:
    """The value where it holds others by name, else none: a damaged file reads as one that lacks them."""
    return value if isinstance(value, dict) else {}


def number(value: Any) -> str:
    """About three significant digits, thousands apart; says so where it is no finite number."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    size = abs(value)
    digits = (
        f"{value:,.0f}"
        if size >= 1000
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.2f}"
        if size >= 1
        else f"{value:.3g}"
    )
    return digits.replace("-", "−")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean ± standard deviation over seeds: "41.0 ± 1.4"; "–" without any value."""
    if not values:
        return "–"
    deviation = f" ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):,.{digits}f}{deviation}".replace("-", "−")


def percent(value: Any) -> str:
    """One decimal and the sign: 71.3 becomes "71.3 %"."""
    known = finite(value)
    return "–" if known is None else f"{known:.1f} %"


def duration(seconds: Any) -> str:
    """Two units at most: "1 h 12 min", "3 min 20 s", "8.4 s"."""
    known = finite(seconds)
    if known is None:
        return "–"
    if known < 60:
        return f"{known:.1f} s"
    minutes, rest = divmod(round(known), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"


def memory(megabytes: Any) -> str:
    """Megabytes below one gigabyte, gigabytes above."""
    known = finite(megabytes)
    if known is None:
        return "–"
    return f"{known:,.0f} MB" if known < 1000 else f"{known / 1000:,.1f} GB"


def counted(n: int, one: str, many: str) -> str:
    """ "1 file", "3 files"."""
    return f"{n:,} {one if n == 1 else many}"


def listed(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def title_of(name: str) -> str:
    """A file's stem or a key as a title: `random_walk-2` becomes "Random walk 2"."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:]


def short_name(spec: str) -> str:
    """The last part of a path that tells something, with what follows it; the whole of anything else."""
    if "/" not in spec or ":" in spec:
        return spec
    parts = [part for part in PurePath(spec).parts if part != PurePath(spec).anchor]
    told = next((i for i in range(len(parts) - 1, -1, -1) if parts[i].lower() not in _COMMON), len(parts) - 1)
    return "/".join(parts[max(told, 0) :]) or spec


_COMMON = ("train", "test", "val", "valid", "validation", "images", "data")


def chart_text(text: str) -> str:
    """A name that plotly shows letter by letter: it reads tags such as <b> and <a> in what it draws."""
    return escape(text, quote=False)
