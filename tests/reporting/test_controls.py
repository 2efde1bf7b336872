"""Controls: each once, and apart where they were measured on something else."""

from typing import Any

from unlabel.reporting.controls import conditions, controls
from unlabel.reporting.rows import ALL

NETWORK = {"name": "n", "size": 32}


def run(
    images: int, pixels: float, random: float, *, network: str = "n", facts: dict | None = None, **protocol: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    told = {"network": network, "network_facts": facts or NETWORK}
    told["data"] = {"images": [images], "fingerprint": [str(images)], "spec": "d"}
    split = "queries: the data's own test split; memory: the training images"
    found = {"protocol": {"memory": min(images, 20_000), "split": split, **protocol}}
    return told, {**found, "knn": {"run": 50.0, "pixels": pixels, "random": random}}


def test_controls_that_are_the_same_in_all_runs_are_named_once() -> None:
    rows, own = controls([run(50_000, 44.7, 25.5), run(50_000, 44.7, 25.5)])
    assert [(row.name, row.control, row.numbers) for row in rows] == [
        ("raw pixels", True, {"knn": [44.7]}), ("random weights, n", True, {"knn": [25.5]}),
    ]  # fmt: skip
    assert own[0] == own[1] == {"raw pixels": "raw pixels", "random weights": "random weights, n"}


def test_controls_of_other_images_are_named_apart() -> None:
    rows, own = controls([run(50_000, 44.7, 25.5), run(5_000, 41.6, 23.6)])
    numbers = {row.name: row.numbers["knn"] for row in rows}
    assert numbers == {
        "raw pixels, 50,000 images": [44.7], "raw pixels, 5,000 images": [41.6],
        "random weights, n, 50,000 images": [25.5], "random weights, n, 5,000 images": [23.6],
    }  # fmt: skip
    assert own[1]["random weights"] == "random weights, n, 5,000 images"
    assert own[0]["raw pixels"] == "raw pixels, 50,000 images"


def test_controls_of_another_protocol_are_named_apart() -> None:
    rows, _ = controls([run(9, 44.0, 25.0, view="32 px"), run(9, 45.0, 26.0, view="64 px")])
    assert [row.name for row in rows] == [
        "raw pixels, view 32 px", "raw pixels, view 64 px",
        "random weights, n, view 32 px", "random weights, n, view 64 px",
    ]  # fmt: skip


def test_equal_numbers_are_one_control_whatever_they_were_measured_on() -> None:
    rows, own = controls([run(50_000, 44.7, 25.5), run(60_000, 44.7, 25.9)])
    assert [row.name for row in rows] == [
        "raw pixels", "random weights, n, 50,000 images", "random weights, n, 60,000 images",
    ]  # fmt: skip
    assert own[1]["raw pixels"] == "raw pixels"


def test_networks_of_one_name_and_another_width_have_controls_of_their_own() -> None:
    own = {"network": "the network of X"}
    rows, _ = controls([
        run(9, 44.0, 25.0, **own, facts={"name": "the network of X", "hyper": {"width": 8}}),
        run(9, 44.0, 26.0, **own, facts={"name": "the network of X", "hyper": {"width": 9}}),
    ])  # fmt: skip
    assert [row.name for row in rows] == [
        "raw pixels", "random weights, the network of X, width 8", "random weights, the network of X, width 9",
    ]  # fmt: skip


def test_the_same_measured_twice_and_not_alike_keeps_both_numbers() -> None:
    rows, _ = controls([run(9, 44.0, 25.0), run(9, 44.2, 25.0)])
    assert rows[0].name == "raw pixels" and rows[0].numbers["knn"] == [44.0, 44.2]


def test_training_images_do_not_matter_where_none_is_remembered() -> None:
    split = "memory and queries: train and test split of the evaluation data"
    one, other = (conditions(*run(n, 1.0, 1.0, split=split, memory=10)) for n in (5, 6))
    assert one == other and "images" not in one
    one, other = (conditions(*run(n, 1.0, 1.0, memory=10)) for n in (5, 6))
    assert one != other


def test_guessing_and_controls_of_segmentation_and_labels_are_found() -> None:
    scores = {who: {"mIoU": x, "aAcc": 50.0} for who, x in (("run", 9.0), ("random", 5.0), ("colours", 3.0))}
    told, found = run(9, 44.0, 25.0)
    found |= {"segmentation": {"protocol": {}, **scores}, "retrieval": {"chance": {"mAP": 10.0}, "run": {"mAP": 30.0}}}
    rows = {row.name: row for row in controls([(told, found)], ALL)[0]}
    assert rows["guessing"].numbers == {"map": [10.0]}
    assert rows["colours alone"].mean("miou") == 3.0
    assert rows["random weights, n"].numbers == {"knn": [25.0], "miou": [5.0], "aacc": [50.0]}
    tuned = {"classification": {"run": {"top1": 80.0}, "scratch": {"top1": 40.0}}, "labels": {"images": 5}}
    (scratch,), _ = controls([(told, tuned)], ALL)
    assert scratch.name == "from scratch" and scratch.numbers == {"right1": [40.0]}
