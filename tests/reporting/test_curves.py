from pathlib import Path
from typing import Any

import numpy as np

from tests.reporting.synthetic import metrics, write_json, write_metrics
from unlabel.reporting.curves import averaged, column, curves, thin
from unlabel.reporting.files import read_run


def charts(folder: Path, lines: list[dict[str, Any]], per_epoch: int | None = 50) -> dict[str, Any]:
    write_json(folder / "run.json", {"updates_per_epoch": per_epoch})
    write_metrics(folder, lines)
    return {chart.id: chart for chart in curves(read_run(folder))}


def test_thin_keeps_ends_spikes_and_order() -> None:
    x = np.arange(50_000.0)
    y = np.sin(x / 3000)
    y[12_345], y[40_000] = 50.0, -50.0
    tx, ty = thin(x, y)
    assert len(tx) <= 2000
    assert (np.diff(tx) > 0).all()
    assert {0.0, 12_345.0, 40_000.0, 49_999.0} <= set(tx)
    assert np.array_equal(ty, y[tx.astype(int)])


def test_thin_leaves_short_curves_and_turns_infinity_into_a_gap() -> None:
    x, y = thin(np.arange(3.0), np.array([1.0, np.inf, 2.0]))
    assert x.tolist() == [0, 1, 2]
    assert np.isnan(y).tolist() == [False, True, False]
    x, y = thin(np.arange(10_000.0), np.full(10_000, np.nan))
    assert np.isnan(y).all()


def test_averaged_is_the_mean_of_stretches_of_finite_values() -> None:
    y = np.arange(1200.0)
    y[5] = np.nan
    _, mean = averaged(np.arange(1200.0), y)
    assert len(mean) == 150
    assert mean[0] == np.mean([0, 1, 2, 3, 4, 6, 7, 8])
    assert len(averaged(np.arange(4.0), np.arange(4.0))[0]) == 0


def test_column_takes_lines_that_have_the_entry() -> None:
    x, y = column([{"update": 1, "a": 2}, {"update": 2}, {"update": 3, "a": None}], "a")
    assert x.tolist() == [1, 3]
    assert y[0] == 2
    assert np.isnan(y[1])


def test_all_curves_of_a_run(tmp_path: Path) -> None:
    found = charts(tmp_path, metrics(np.random.default_rng(0), 400))
    assert list(found) == [
        "curves-loss",
        "curves-terms",
        "curves-knn",
        "curves-effective-rank",
        "curves-std",
        "curves-lr",
    ]
    assert found["curves-loss"].data[0]["x"].max() == 8  # epochs
    assert found["curves-std"].data[1]["y"] == [512**-0.5, 512**-0.5]
    assert "from" in found["curves-knn"].alt


def test_uniformity_has_a_curve_of_its_own_where_alignment_was_not_read(tmp_path: Path) -> None:
    found = charts(tmp_path, [{"update": u, "monitor": {"uniformity": -u / 10}} for u in range(4)])
    assert list(found) == ["curves-uniformity"]
    assert found["curves-uniformity"].data[0]["y"].tolist() == [0, -0.1, -0.2, -0.3]


def test_what_was_not_measured_has_no_chart(tmp_path: Path) -> None:
    assert charts(tmp_path, []) == {}
    found = charts(tmp_path, [{"update": u, "loss": 1.0, "terms": {"loss": 1.0}} for u in range(5)], per_epoch=None)
    assert list(found) == ["curves-loss"]
    assert found["curves-loss"].layout["xaxis"]["title"]["text"] == "update"


def test_a_loss_that_is_not_finite_is_marked(tmp_path: Path) -> None:
    lines = [{"update": u, "loss": [1.0, None, float("nan"), float("inf")][u % 4]} for u in range(8)]
    loss = charts(tmp_path, lines)["curves-loss"]
    assert "6 of 8 updates" in loss.caption
    assert len(loss.data[-1]["x"]) == 6


def test_names_of_terms_cannot_pass_for_markup(tmp_path: Path) -> None:
    lines = [{"update": u, "loss": 1.0, "terms": {"<b>x</b>": 0.5, "update": 0.5, "y": 0.0}} for u in range(3)]
    found = charts(tmp_path, lines)["curves-terms"]
    assert [trace["name"] for trace in found.data] == ["&lt;b&gt;x&lt;/b&gt;", "y"]


def test_the_loss_is_shown_beside_its_values_where_learning_failed(tmp_path: Path) -> None:
    lines = [{"update": u, "loss": 6.0 - u / 10, "terms": {"loss": 6.0 - u / 10}} for u in range(10)]
    write_metrics(tmp_path, lines)
    values = {"all embeddings are equal": 6.05, "nothing": 0.0, "unknown": None}
    write_json(tmp_path / "run.json", {"collapse_values": values})
    (loss,) = [chart for chart in curves(read_run(tmp_path)) if chart.id == "curves-loss"]
    levels = [trace for trace in loss.data if trace["name"] in values]
    assert [trace["y"] for trace in levels] == [[6.05, 6.05]]  # 0 is far away and would flatten the curve
    assert "Dotted: 6.05, its value where all embeddings are equal." in loss.caption


def test_readings_of_teachers_prototypes_and_neighbours_have_curves(tmp_path: Path) -> None:
    names = ("neighbour_stability", "code_entropy_share", "assignment_entropy_share", "teacher_divergence")
    lines = [{"update": u, "monitor": {"images": 101.0} | dict.fromkeys(names, 0.1 * u)} for u in range(4)]
    found = charts(tmp_path, lines)
    assert list(found) == [f"curves-{name.replace('_', '-')}" for name in names]
    assert found["curves-neighbour-stability"].data[1]["y"] == [0.1, 0.1]  # ten of a hundred others


def test_readings_have_a_table_and_thousands_of_updates_have_none(tmp_path: Path) -> None:
    found = charts(tmp_path, metrics(np.random.default_rng(0), 400, monitors=5))
    table = found["curves-effective-rank"].table
    assert table.head == ["epoch", "directions"]
    assert [row[0] for row in table.rows] == ["0", "2.00", "4.00", "6.00", "8.00"]
    assert table.rows[0][1] == "12.0"
    assert found["curves-lr"].table is None
