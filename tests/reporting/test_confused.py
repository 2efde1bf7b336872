from typing import Any

import pytest

from unlabel.reporting.confused import confused

COUNTS = [[6, 2, 0], [1, 9, 0], [0, 0, 0]]


def test_shares_are_of_the_row_and_the_table_names_the_classes() -> None:
    found = confused({"confusion": {"images": 18, "classes": 3, "counts": COUNTS}}, ["cat", "<b>dog"])
    assert found is not None and found.matrix is not None
    right, wrong = found.matrix.data
    assert right["z"] == [[75.0, None, None], [None, 90.0, None], [None, None, None]]
    assert wrong["z"] == [[None, 25.0, 0.0], [10.0, None, 0.0], [None, None, None]]
    assert (right["zmax"], wrong["zmax"]) == (200, 50)  # half of the colour, for the sake of the numbers
    assert right["x"] == ["cat", "&lt;b&gt;dog", "class 2"]  # plotly reads tags
    assert found.pairs is not None
    assert found.pairs.rows == [["cat", "<b>dog", "2 of 8", "25.0 %"], ["<b>dog", "cat", "1 of 10", "10.0 %"]]
    assert found.matrix.table is not None
    assert found.matrix.table.rows[0] == ["cat", "6", "8", "75.0 %"]
    assert found.matrix.table.rows[2] == ["class 2", "0", "0", "–"]
    assert "15 of 18 images are right" in found.matrix.alt


def test_many_classes_are_a_table_only() -> None:
    counts = [[2 if i == j else int(j == i + 1) for j in range(31)] for i in range(31)]
    found = confused({"confusion": {"images": 92, "classes": 31, "counts": counts}}, None)
    assert found is not None and found.matrix is None
    assert found.pairs is not None and len(found.pairs.rows) == 15
    pairs = [{"truth": 4, "said": 150, "count": 3, "of": 9}]
    found = confused({"confusion": {"images": 999, "classes": 200, "counts": None, "pairs": pairs}}, None)
    assert found is not None and found.pairs is not None
    assert found.pairs.rows == [["class 4", "class 150", "3 of 9", "33.3 %"]]


def test_no_mistake() -> None:
    found = confused({"confusion": {"images": 3, "classes": 2, "counts": [[1, 0], [0, 2]]}}, None)
    assert (
        found is not None
        and found.matrix is not None
        and found.pairs is None
        and "no mistake of 3 images" in found.said
    )


@pytest.mark.parametrize(
    "damaged",
    [None, "x", {}, {"counts": []}, {"counts": [[1, 2]]}, {"counts": [[1, -1], [0, 1]]}, {"counts": [["1"]]},
     {"pairs": [{"truth": 1}], "classes": 300}],
)  # fmt: skip
def test_evaluations_without_it_have_no_figure(damaged: Any) -> None:
    assert confused({"confusion": damaged}, None) is None
    assert confused({}, None) is None
