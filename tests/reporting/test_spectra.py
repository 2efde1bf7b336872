from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reporting.synthetic import metrics, write_json, write_metrics
from unlabel.reporting.charts import RANDOM
from unlabel.reporting.files import read_run
from unlabel.reporting.spectra import spectra


def readings(folder: Path, spectra_of: list[Any], first: int = 0) -> Path:
    write_json(folder / "run.json", {"updates_per_epoch": 10})
    lines = [
        {"update": first + 10 * i, "monitor": {"std": 0.1}} | ({} if of is None else {"spectrum": of})
        for i, of in enumerate(spectra_of)
    ]
    write_metrics(folder, lines)
    return folder


def of(*values: float) -> dict[str, Any]:
    return {"representation": {"ranks": [1, 2, 4][: len(values)], "values": list(values)}}


def test_a_curve_for_each_reading_from_faint_to_strong(tmp_path: Path) -> None:
    (chart,) = spectra(read_run(readings(tmp_path, [of(1, 0.5, 0.1), of(1, 0.6, 0.2), of(1, 0.7, 0.0)])))
    assert chart.id == "spectra"
    assert [trace["y"] for trace in chart.data] == [[1, 0.5, 0.1], [1, 0.6, 0.2], [1, 0.7]]  # a zero has no logarithm
    untrained, middle, last = chart.data
    assert (untrained["line"]["dash"], untrained["line"]["color"]) == ("dash", RANDOM)
    assert [trace["line"]["dash"] for trace in (middle, last)] == ["solid", "solid"]
    assert middle["opacity"] < last["opacity"] == 1
    assert [trace["name"] for trace in chart.data] == [
        "before training", "update 10 (epoch 1.00)", "update 20 (epoch 2.00)",
    ]  # fmt: skip
    assert chart.table is not None
    assert chart.table.head == ["", "2"]  # the one rank that all have, but for the first
    assert [row[1] for row in chart.table.rows] == ["0.5", "0.6", "0.7"]


def test_a_run_that_collapsed_onto_one_direction_has_its_chart(tmp_path: Path) -> None:
    (chart,) = spectra(read_run(readings(tmp_path, [of(1, 0.5, 0.1), of(1, 0.0, 0.0)])))
    assert [trace["y"] for trace in chart.data] == [[1, 0.5, 0.1], [1]]
    assert chart.table is not None and [row[1:] for row in chart.table.rows] == [["0.5", "0.1"], ["0", "0"]]


def test_a_run_that_never_had_a_second_direction_has_its_chart(tmp_path: Path) -> None:
    (chart,) = spectra(read_run(readings(tmp_path, [of(1), of(1)])))
    assert chart.table is not None and chart.table.head == ["", "1"]


def test_what_begins_later_has_no_untrained_curve(tmp_path: Path) -> None:
    (chart,) = spectra(read_run(readings(tmp_path, [of(1, 0.5, 0.1), of(1, 0.6, 0.2)], first=10)))
    assert {trace["line"]["dash"] for trace in chart.data} == {"solid"}
    assert "before training" not in [words for words, _, _ in chart.legend]


def test_what_the_loss_compares_has_a_chart_of_its_own_and_many_readings_are_thinned(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    write_metrics(tmp_path, metrics(np.random.default_rng(0), 400, monitors=101))
    charts = spectra(read_run(tmp_path))
    assert [chart.id for chart in charts] == ["spectra", "spectra-projection"]
    assert all(len(chart.data) == 24 for chart in charts)
    assert charts[0].data[0]["name"] == "before training" and charts[0].data[-1]["name"] == "update 400"


@pytest.mark.parametrize(
    "damaged",
    [None, "x", {}, {"representation": None}, {"representation": {"ranks": [1], "values": []}},
     {"representation": {"ranks": [1, 2], "values": [None, float("nan")]}}],
)  # fmt: skip
def test_journals_without_spectra_have_no_figure(tmp_path: Path, damaged: Any) -> None:
    assert spectra(read_run(readings(tmp_path, [damaged] * 3))) == []
    assert spectra(read_run(readings(tmp_path, [of(1, 0.5, 0.1), damaged]))) == []  # one is no course
