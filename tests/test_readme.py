"""What the README and the evidence say is what the code and the records make of them."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unlabel import methods
from unlabel.api import benching
from unlabel.engine import options

ROOT = Path(__file__).parents[1]
EVIDENCE = ROOT / "benchmarks" / "evidence"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    sys.path.insert(0, str(EVIDENCE))
    try:
        return importlib.import_module("tables")
    finally:
        sys.path.remove(str(EVIDENCE))


def test_the_table_of_methods_is_up_to_date(tables: ModuleType) -> None:
    assert tables.listed() in (ROOT / "README.md").read_text(), "run benchmarks/evidence/tables.py"


def test_the_tables_of_evidence_are_those_of_the_records(tables: ModuleType) -> None:
    records = {
        name: json.loads(path.read_text()) for name in tables.STUDIES if (path := EVIDENCE / f"{name}.json").exists()
    }
    assert tables.short(records) in (ROOT / "README.md").read_text(), "run benchmarks/evidence/tables.py"
    assert tables.evidence(records) == (ROOT / "docs" / "evidence.md").read_text(), "run benchmarks/evidence/tables.py"


def test_raw_pixels_have_a_row_and_those_above_them_are_counted(tables: ModuleType) -> None:
    rows = [
        {"name": "raw pixels", "control": True, "numbers": {"knn": [44.7], "top1": [39.0]}},
        *({"name": name, "numbers": {"knn": [knn], "top1": [41.0]}, "setup": {"network": "b"}}
          for name, knn in (("simclr", 46.6), ("byol", 35.7))),
    ]  # fmt: skip
    record = {"rows": rows, "options": {"budget": "5m", "data": "{cifar10}/train"}, "machine": {"cores": 2}}
    first, second, third, *_, said = tables.representation({"five-minutes": record}).splitlines()[2:]
    assert second == "| *raw pixels* |  |  |  | 44.7 | 39.0 |  |  |" and "SimCLR" in first and "BYOL" in third
    assert said == "Of 2 rows, 1 are above raw pixels by kNN and 2 by the linear classifier."


def test_image_translation_is_told_by_what_its_folders_hold(tables: ModuleType) -> None:
    said = tables.study("translation", json.loads((EVIDENCE / "translation.json").read_text()))
    assert "5 minutes each, from label maps to photographs of CMP facades; 2 cores" in said
    assert "on labels" not in said and "protocol ?" not in said


def test_every_method_is_in_a_study(tables: ModuleType) -> None:
    studied = {entry.split()[0] for study in tables.STUDIES.values() for entry in study.entries}
    assert studied == set(methods.available())


def test_studies_are_benches_whose_claims_speak_of_their_rows(tables: ModuleType) -> None:
    controls = {"random weights", "guessing", "untouched inputs", "colours alone", "one class everywhere"}
    for study in tables.STUDIES.values():
        for entry in study.entries:
            options.check(*benching._options_of(entry, study.options))
        for claim in study.claims:
            assert claim.better in study.entries and claim.than in controls | set(study.entries)
            assert claim.column in tables.COLUMNS


def test_a_claim_is_judged_by_its_means(tables: ModuleType) -> None:
    rows = {
        "simclr": tables.Row("simclr", numbers={"knn": [40.0, 42.0]}, setup={"network": "b"}),
        "random weights, b": tables.Row("random weights, b", control=True, numbers={"knn": [41.5]}),
    }
    judged = {by: tables.verdict_on(tables.Claim("simclr", "random weights", by=by), rows)[-1] for by in (-1, -0.4)}
    assert judged == {-1: "holds", -0.4: "**does not hold**"}
    # A record whose controls are named apart says which of them are an entry's own.
    apart = {
        "simclr": tables.Row("simclr", numbers={"knn": [40.0]}, setup={
            "network": "b", "controls": {"random weights": "random weights, b, 5 images", "raw pixels": "raw pixels"}}),
        "random weights, b, 5 images": tables.Row("", control=True, numbers={"knn": [41.0]}),
        "random weights, b, 9 images": tables.Row("", control=True, numbers={"knn": [39.0]}),
    }  # fmt: skip
    assert tables.verdict_on(tables.Claim("simclr", "random weights"), apart)[1:] == [
        "40.0 against 41.0", "**does not hold**",
    ]  # fmt: skip
    less = tables.Claim("simclr", "random weights", less=True)
    assert tables.verdict_on(less, rows)[-1] == "holds"
    assert tables.verdict_on(tables.Claim("simclr", "byol"), rows)[-1] == "not measured"


def test_a_study_says_how_it_was_measured_as_far_as_is_known(
    tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.kept, "KEPT", tmp_path)
    row = {"name": "simclr", "numbers": {"knn": [40.0]}, "setup": {"network": "b"}}
    old = {"rows": [row], "note": "Minutes.", "protocol": {"version": 1, "data": "data/cifar10/test", "k": 20}}
    assert tables.protocols("x", old) == ["frozen features: protocol 1: data cifar10/test; k 20"]
    runs = [
        {
            "name": f"{method}-0",
            "evaluation.json": {"protocol": {"version": 1, "data": "{cifar10}/test", "weights": whose}},
        }
        for method, whose in (("byol", "the student's"), ("simclr", "the network's"), ("swav", "the network's"))
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, runs)) + "\n")
    line = "frozen features: protocol 1: data cifar10/test; weights the student's (byol) or else the network's"
    assert tables.protocols("x", old) == [line]
    assert tables.protocols("x", old | {"protocols": ["as said"]}) == ["as said"]
    name = next(iter(tables.STUDIES))
    assert "\n\nMinutes.\n\n- as said\n\n" in tables.study(name, old | {"protocols": ["as said"]})
