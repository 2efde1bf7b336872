import pytest

from tests.reporting.synthetic import FACTORS
from unlabel.evaluation.factors import word
from unlabel.reporting.scores import accuracies, accuracy, factors

EVALUATION = {
    "knn": {"run": 60.0, "random": 40.0, "pixels": float("nan")},
    "linear": {"run": {"top1": 70.0, "top5": 95.0}, "random": {"top1": 72.5, "top5": 90.0}},
}


def test_accuracies_leave_out_what_is_missing() -> None:
    assert accuracies(EVALUATION) == {
        "kNN": {"run": 60.0, "random": 40.0},
        "Linear top-1": {"run": 70.0, "random": 72.5},
        "Linear top-5": {"run": 95.0, "random": 90.0},
    }
    assert accuracies({"knn": None, "linear": None}) == {}
    assert accuracies({"knn": {"random": 40.0}}) == {}  # controls of nothing


def test_the_table_says_by_how_much_the_run_leads() -> None:
    chart = accuracy(EVALUATION)
    assert chart is not None
    assert chart.table is not None
    assert [row[-1] for row in chart.table.rows] == ["+20.0", "−2.5", "+5.0"]
    assert [trace["name"] for trace in chart.data] == ["this run", "random weights"]
    assert accuracy({}) is None


def test_factors_by_kind_with_the_word_of_the_evaluation() -> None:
    found = {name: entry | {"word": word(entry)} for name, entry in FACTORS.items()}
    classes, numbers = factors({"factors": found})
    assert (classes.id, numbers.id) == ("factors-class", "factors-regression")
    assert "discarded (red): colour" in classes.caption
    assert classes.table is not None
    assert classes.table.rows[0] == ["shape", "94.1", "51.0", "43.5", "25.0", "kept"]
    assert factors({"factors": None}) == []


@pytest.mark.parametrize("score", [None, float("nan"), "high"])
def test_factors_without_a_score_are_left_out(score: object) -> None:
    assert factors({"factors": {"size": {"run": score, "kind": "regression"}}}) == []


def test_a_failed_probe_stands_at_the_edge_but_says_its_score() -> None:
    (chart,) = factors({"factors": {"size": {"run": -40.0, "kind": "regression", "chance": 0.0}}})
    assert chart.data[-1]["x"] == [-0.25]
    assert chart.data[-1]["customdata"] == [-40.0]
