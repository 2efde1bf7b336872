"""The tables of an evaluation on a terminal."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.reporting.test_further import FOUND
from unlabel.cli.scores import tables

PROTOCOL = {"k": 20, "temperature": 0.07, "memory": 2_000, "queries": 400}
OLD = {
    "protocol": PROTOCOL,
    "knn": {"run": 70.04, "random": 40.0, "pixels": None},
    "linear": {"run": {"top1": 80.0, "top5": None}, "random": {"top1": 50.0, "top5": None}},
}


def shown(evaluation: dict[str, Any]) -> list[str]:
    """The lines that are printed, without frames."""
    console = Console(width=200, record=True, file=io.StringIO())
    for part in tables(evaluation):
        console.print(part)
    return [" ".join(line.replace("│", " ").split()) for line in console.export_text().splitlines()]


def test_an_evaluation_of_an_older_version() -> None:
    lines = shown(OLD)
    assert "kNN top-1 70.0 40.0 –" in lines and "linear top5 – – –" in lines
    assert any("k 20; temperature 0.07; memory 2000; queries 400" in line for line in lines)
    assert sum(isinstance(part, Table) for part in tables(OLD)) == 1
    assert tables(OLD | dict.fromkeys(("retrieval", "clustering", "robustness")))[1:] == tables(OLD)[1:]


def test_everything_beside_its_controls() -> None:
    found = FOUND["robustness"]
    protocol = found["protocol"] | {"corruptions": {"gaussian_noise": [], "jpeg": []}}
    lines = shown(OLD | FOUND | {"robustness": found | {"protocol": protocol}})
    for line in (
        "mAP 61.2 20.0 – 10.0",
        "ARI 40.0 0.0 -3.0 0.0",
        "linear, clean 80.0 40.0 30.0",
        "kNN, corrupted 66.0 – –",
        "linear, gaussian noise 71.0 31.0 21.0",
        "protocol 1: images 400; severities 1 to 5 as in CIFAR-10-C, at 32 px",
        "protocol 1: clusters 10",
    ):
        assert line in lines, line


def test_remarks_and_the_protocols_of_objects_are_printed() -> None:
    found = OLD | {
        "remarks": ["corrupted images: as measured before"],
        "protocols": {"swapped": {"version": 3, "k": 5}},
    }
    lines = shown(found)
    assert "corrupted images: as measured before" in lines and "swapped: protocol 3: k 5" in lines


def test_what_is_no_representation() -> None:
    assert tables({"classification": {"run": {"top1": 71.0, "top5": 95.0}}}) == ["run: top1 71.0 %, top5 95.0 %"]
    assert tables({"translation": {"closer": 0.5, "identity": {"fd": 1.0}}}) == ["closer: 0.5"]
    assert tables({}) == []


def test_objects_without_classes() -> None:
    lines = shown({"protocol": PROTOCOL, "objects": {"pointing": {"run": 55.0, "random": 30.0}}})
    assert "looks at the object 55.0 30.0 –" in lines
