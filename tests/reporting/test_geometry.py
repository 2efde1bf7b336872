from pathlib import Path

import numpy as np

from tests.reporting.synthetic import metrics, write_json, write_metrics
from unlabel.reporting.files import read_run
from unlabel.reporting.geometry import geometry, spectrum


def test_spectrum_is_relative_sorted_and_leaves_out_dead_directions() -> None:
    chart = spectrum({"spectrum": [1.0, 4.0, 2.0, 0.0, float("nan")], "effective_rank": 2.6})
    assert chart is not None
    assert chart.data[0]["y"].tolist() == [1.0, 0.5, 0.25]
    assert chart.layout["yaxis"]["type"] == "log"
    assert chart.layout["annotations"][0]["text"] == "effective rank 2.60"
    assert chart.table is not None and chart.table.rows == [["1", "1.00"], ["2", "0.5"]]


def test_no_spectrum() -> None:
    assert spectrum({}) is None
    assert spectrum({"spectrum": None}) is None
    assert spectrum({"spectrum": [0.0, 0.0]}) is None


def test_path_of_alignment_and_uniformity(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    lines = metrics(np.random.default_rng(0), 100)
    write_metrics(tmp_path, lines)
    chart = geometry(read_run(tmp_path))
    assert chart is not None
    readings = [line["monitor"] for line in lines if "monitor" in line]
    path = next(trace for trace in chart.data if trace["name"] == "representation")
    assert path["x"] == [reading["alignment"] for reading in readings]
    assert path["y"] == [reading["uniformity"] for reading in readings]
    assert path["customdata"][0] == "before training" and path["customdata"][-1] == "update 100"
    assert [(note["text"], note["x"]) for note in chart.layout["annotations"]] == [
        ("start", path["x"][0]), ("end", path["x"][-1]),
    ]  # fmt: skip
    loss = next(trace for trace in chart.data if trace["name"] == "embedding in the loss")
    assert loss["x"] == [reading["projection_alignment"] for reading in readings]
    assert chart.table is not None and len(chart.table.rows) == 2 * len(readings)
    write_metrics(tmp_path, [line for line in lines if "loss" in line])
    assert geometry(read_run(tmp_path)) is None


def test_the_evaluated_network_and_random_weights_lie_in_the_plane_too(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    found = {"alignment": 0.25, "uniformity": -3.0, "untrained": {"alignment": 1.0, "uniformity": -0.5}}
    write_json(tmp_path / "evaluation.json", found)
    chart = geometry(read_run(tmp_path))
    assert chart is not None
    assert {trace["name"]: (trace["x"], trace["y"]) for trace in chart.data} == {
        "evaluated": ([0.25], [-3.0]),
        "random weights, evaluated": ([1.0], [-0.5]),
    }
    write_json(tmp_path / "evaluation.json", found | {"untrained": {"uniformity": -0.5}})  # as older versions wrote it
    assert geometry(read_run(tmp_path)) is None  # a single point
    write_metrics(tmp_path, [{"update": 0, "monitor": {"alignment": 1.0, "uniformity": -0.5}}])
    chart = geometry(read_run(tmp_path))
    assert chart is not None and [note["text"] for note in chart.layout["annotations"]] == ["start"]


def test_spectrum_beside_that_of_the_embedding_in_the_loss() -> None:
    projection = {"spectrum": [0.1, 1.0], "effective_rank": 1.4}
    chart = spectrum({"spectrum": [4.0, 2.0, 1.0], "effective_rank": 2.6, "projection": projection})
    assert chart is not None
    assert [trace["y"].tolist() for trace in chart.data] == [[1.0, 0.5, 0.25], [1.0, 0.1]]
    assert [words for words, _, _ in chart.legend] == ["representation", "embedding in the loss"]
    assert "effective rank 1.40" in chart.alt
    for nothing in (None, {}, "damaged", {"spectrum": [0.0]}):
        alone = spectrum({"spectrum": [4.0, 2.0, 1.0], "projection": nothing})
        assert alone is not None and len(alone.data) == 1 and not alone.legend
