"""How often a classifier is right, beside its control and its teacher."""

from typing import Any

from unlabel.reporting.charts import Table
from unlabel.reporting.words import finite, nested, number, percent

WHO = {"run": "this run", "scratch": "from scratch", "teacher": "its teacher"}
ROLES = {"run": "run", "scratch": "random", "teacher": "pixels"}  # which colour each has among a page's bars


def top1(evaluation: dict[str, Any]) -> dict[str, float]:
    """Who -> accuracy in per cent, of those that are known; empty for what is no classifier."""
    found = {who: finite(nested(nested(evaluation.get("classification")).get(who)).get("top1")) for who in WHO}
    return {who: accuracy for who, accuracy in found.items() if accuracy is not None}


def classification(evaluation: dict[str, Any]) -> list[Table]:
    """The accuracies, and the labels that were used."""
    found = nested(evaluation.get("classification"))
    if not found:
        return []
    rows = [
        [words, percent(nested(found[who]).get("top1")), percent(nested(found[who]).get("top5"))]
        for who, words in WHO.items()
        if who in found
    ]
    labels = nested(evaluation.get("labels"))
    names = {"images": "images with labels", "share": "share of all", "seed": "seed of the choice", "data": "of"}
    said = [[words, number(labels[name])] for name, words in names.items() if name in labels]
    return [
        Table("How many images are classified right", ["", "top-1", "top-5"], rows, numeric=True),
        Table("The labels that were used", ["", ""], said),
    ]
