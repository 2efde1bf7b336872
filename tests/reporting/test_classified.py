from unlabel.reporting.classified import classification, top1

FOUND = {
    "classification": {"run": {"top1": 71.25, "top5": 95.0}, "scratch": {"top1": 40.0}, "teacher": {"top1": None}},
    "labels": {"images": 1500, "share": 0.1, "seed": 0, "data": "photos", "classes": ["a", "b"]},
}


def test_accuracies_that_are_known() -> None:
    assert top1(FOUND) == {"run": 71.25, "scratch": 40.0}
    assert top1({}) == top1({"classification": None}) == top1({"classification": {"run": "?"}}) == {}


def test_tables_name_everybody_and_the_labels() -> None:
    accuracies, labels = classification(FOUND)
    assert accuracies.rows == [
        ["this run", "71.2 %", "95.0 %"], ["from scratch", "40.0 %", "–"], ["its teacher", "–", "–"],
    ]  # fmt: skip
    assert ["images with labels", "1,500"] in labels.rows
    assert classification({}) == []
