"""The table of the viewer: the report's map, pictures that open, neighbours and shares worked out by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.reporting.synthetic import make_run
from unlabel.reporting.atlas import atlas_charts, atlas_table, stored_atlas
from unlabel.reporting.embedding_map import embedding_map
from unlabel.reporting.files import Embeddings, read_run


def embeddings(vectors: np.ndarray, labels: list[int]) -> Embeddings:
    n = len(vectors)
    return Embeddings([f"{i}.png" for i in range(n)], np.array(labels), vectors.astype(np.float32), np.arange(n))


def fields(value: object) -> set[str]:
    """All columns that a chart names."""
    if isinstance(value, dict):
        own = {v for k, v in value.items() if k == "field"}
        return own.union(*(fields(v) for v in value.values()))
    return set().union(*(fields(v) for v in value)) if isinstance(value, list) else set()


def test_neighbours_distances_and_agreement_of_four_rows() -> None:
    angles = np.deg2rad([0, 10, 30, 180])
    found = embeddings(np.stack([np.cos(angles), np.sin(angles)], 1), [0, 0, 1, 1])
    table = atlas_table(found, [Image.new("RGB", (4, 4))] * 3 + [None], ["cat", "dog"])
    rows = table.to_pylist()
    assert [row["neighbors"]["ids"] for row in rows] == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    far = [1 - np.cos(np.deg2rad(angle)) for angle in (10, 30, 180)]
    assert rows[0]["neighbors"]["distances"] == pytest.approx(far, abs=1e-6)
    assert rows[0]["nearest"] == pytest.approx(far[0], abs=1e-6)
    assert rows[0]["density"] == pytest.approx(1 - np.mean(far), abs=1e-6)
    assert [row["agree"] for row in rows] == pytest.approx([1 / 3] * 4)
    assert [row["label"] for row in rows] == ["cat", "cat", "dog", "dog"]
    assert [row["path"] for row in rows] == ["0.png", "1.png", "2.png", "3.png"] and rows[3]["image"] is None


@pytest.mark.parametrize(("labels", "columns"), [([0, 1, -1], {"label"}), ([-1, -1, -1], set())])
def test_labels_that_are_not_known_are_not_made_up(labels: list[int], columns: set[str]) -> None:
    table = atlas_table(embeddings(np.eye(3), labels), [None] * 3, None)
    assert {"label", "agree"} & set(table.column_names) == columns
    assert atlas_charts(table)["1"]["data"].get("category") == ("label" if columns else None)
    if columns:
        assert table["label"].to_pylist() == ["class 0", "class 1", ""]


def test_a_run_becomes_its_report_s_map_with_its_thumbnails(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", queries=80)
    found = read_run(run)
    assert found.embeddings is not None and found.sprite is not None
    table = stored_atlas(run)
    assert table is not None
    map_ = embedding_map(found.embeddings)
    assert map_ is not None
    np.testing.assert_allclose(np.stack([table["x"], table["y"]], 1), map_.points, atol=1e-6)
    for i in (0, 79):
        picture = Image.open(io.BytesIO(table["image"][i].as_py()["bytes"]))
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(found.sprite.crop(i)))
    charts = atlas_charts(table)
    assert fields(list(charts.values())) | set(charts["1"]["data"].values()) <= set(table.column_names)
    (run / "artifacts" / "thumbnails.jpg").unlink()
    assert stored_atlas(run) is None


def test_a_name_that_is_no_text_does_not_stop_it() -> None:
    odd = embeddings(np.eye(3), [0, 0, 0])
    odd.paths[1] = "caf\udce9.png"
    assert atlas_table(odd, [None] * 3, None)["path"].to_pylist()[1] == "caf?.png"
