"""The tables of an evaluation on a terminal."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.reporting.test_further import FOUND
from unlabel.cli.scores import shown as shown_section
from unlabel.cli.scores import tables
from unlabel.reporting.segmented import section

PROTOCOL = {"k": 20, "temperature": 0.07, "memory": 2_000, "queries": 400}
OLD = {
    "protocol": PROTOCOL,
    "knn": {"run": 70.04, "random": 40.0, "pixels": None},
    "linear": {"run": {"top1": 80.0, "top5": None}, "random": {"top1": 50.0, "top5": None}},
}


def shown(evaluation: dict[str, Any]) -> list[str]:
    """The lines that are printed of an evaluation."""
    return printed(tables(evaluation))


def printed(parts: list[Table | str]) -> list[str]:
    """The lines that are printed, without frames."""
    console = Console(width=200, record=True, file=io.StringIO())
    for part in parts:
        console.print(part)
    return [" ".join(line.replace("│", " ").replace("┃", " ").split()) for line in console.export_text().splitlines()]


def test_an_evaluation_of_an_older_version() -> None:
    lines = shown(OLD)
    assert "kNN top-1 70.0 40.0 –" in lines and "linear top5 – – –" in lines
    assert any("k 20; temperature 0.07; memory 2000; queries 400" in line for line in lines)
    assert sum(isinstance(part, Table) for part in tables(OLD)) == 1
    assert tables(OLD | dict.fromkeys(("retrieval", "clustering", "robustness")))[1:] == tables(OLD)[1:]


def test_everything_beside_its_controls() -> None:
    lines = shown(OLD | FOUND)
    for line in (
        "mAP 61.2 20.0 – 10.0",
        "finding images of the same class: in per cent this run random weights raw pixels guessing",
        "ARI 40.0 0.0 −3.0 0.0",
        "corrupted images: right by the linear probe, in per cent this run random weights raw pixels",
        "clean 80.0 40.0 30.0",
        "gaussian noise 71.0 31.0 21.0",
        "corrupted images: right by the nearest neighbours, in per cent this run random weights raw pixels",
        "corrupted 66.0 – –",
        "protocol 1: images 400; severities 1 to 5 as in CIFAR-10-C, at 32 px",
        "protocol 1: clusters 10",
    ):
        assert line in lines, line


def test_remarks_and_the_protocols_of_objects_are_printed() -> None:
    found = OLD | {
        "remarks": ["corrupted images: as measured before"],
        "objects": {"swapped": {"knn": {"run": {"original": 60.0, "swapped": 40.0}, "random": {"swapped": 15.0}}}},
        "protocols": {"swapped": {"version": 3, "k": 5}},
    }
    lines = shown(found)
    assert "corrupted images: as measured before" in lines
    at = lines.index("nearest neighbours, swapped 40.0 15.0 –")
    assert "protocol 3: k 5" in lines[at : at + 3]


def test_what_is_no_representation() -> None:
    assert tables({"classification": {"run": {"top1": 71.0, "top5": 95.0}}}) == ["run: top1 71.0 %, top5 95.0 %"]
    assert tables({"translation": {"closer": 0.5, "identity": {"fd": 1.0}}}) == ["closer: 0.5"]
    assert tables({}) == []


def test_a_translation_stands_beside_its_inputs_with_its_protocol() -> None:
    lines = shown({
        "translation": {
            "protocol": {"version": 1, "features": "FD-lite0", "images_x": 100},
            "identity": {"fd": 150.04, "kid": 40.0, "psnr": 7.0},
            "translation": {"fd": 90.0, "kid": 20.0, "psnr": 12.25},
            "fd_floor": 31.5, "closer": 0.4,
        }
    })  # fmt: skip
    for line in (
        "image translation untouched translated",
        "Fréchet distance to the target 150.0 90.0",
        "Kernel distance to the target 40.0 20.0",
        "PSNR to the partner, dB 7.00 12.2",
        "fd floor: 31.5",
        "protocol 1: features FD-lite0; images x 100",
    ):
        assert line in lines, line


def test_factors_texts_and_shape_stand_beside_controls_with_their_protocols() -> None:
    recall = {"at": {"1": 40.0, "5": 80.0}, "chance": {"1": 1.0, "5": 5.0}, "queries": 100}
    found = {
        "factors": {
            "shape": {"run": 91.05, "random": 25.5, "pixels": 57.6, "chance": 12.5, "kind": "class", "word": "kept"},
            "hue_angle": {"run": -0.27, "random": 0.58, "chance": 0.0, "kind": "regression", "word": "discarded"},
        },
        "texts": {
            "zeroshot": {"top1": 30.0, "chance1": 10.0, "top5": None, "chance5": None},
            "retrieval": {"text_to_image": recall, "image_to_text": recall},
        },
        "effective_rank": 51.26, "dimensions": 512, "participation_ratio": 6.4, "alignment": 0.362, "lidar": 30.0,
        "untrained": {"effective_rank": 14.0, "alignment": 1.05},
        "protocols": {
            kind: {"version": 1, "weights": "the student's", "of": kind}
            for kind in ("factors", "zeroshot", "captions", "shape", "lidar")
        },
    }  # fmt: skip
    lines = shown(found)
    for line in (
        "factor scores, accuracy, % this run random weights raw pixels guessing",
        "shape 91.0 25.5 57.6 12.5 kept",
        "hue_angle −0.27 0.58 – 0.00 discarded",
        "protocol 1: weights the student's; of factors",
        "classes by their names: in per cent this run guessing",
        "top-1 30.0 10.0",
        "protocol 1: weights the student's; of zeroshot",
        "images by text 40.0 80.0",
        "texts by image, guessing 1.0 5.0",
        "protocol 1: weights the student's; of captions",
        "shape of the embeddings this run random weights",
        "Effective rank 51.3 14.0",
        "Alignment 0.362 1.05",
        "LiDAR 30.0 –",
        "protocol 1: weights the student's; of shape",
        "LiDAR: protocol 1: weights the student's; of lidar",
    ):
        assert line in lines, line
    without = {name: value for name, value in found.items() if name != "protocols"}
    assert [line for line in shown(without) if "protocol" in line] == []


def test_objects_without_classes() -> None:
    lines = shown({"protocol": PROTOCOL, "objects": {"pointing": {"run": 55.0, "random": 30.0}}})
    assert "looking at the object: in per cent this run random weights the middle guessing" in lines
    assert "hits 55.0 30.0 – –" in lines


def test_a_segmentation_reads_as_on_the_page() -> None:
    scores = {"mIoU": 28.4, "mAcc": 36.8, "aAcc": None}
    found = {"run": scores, "colours": scores, "protocol": {"version": 1, "head": "1 x 1 convolution"}}
    lines = printed(shown_section(section("segmentation", found)))
    assert "the class of every pixel, by a linear layer: in per cent this run colours" in lines
    assert "mIoU 28.40 28.40" in lines and "aAcc – –" in lines and lines[-1] == "protocol 1: head 1 x 1 convolution"
    nothing = {"run": dict.fromkeys(scores), "protocol": {"version": 1}}  # every pixel of the test images is ignored
    assert "mIoU –" in printed(shown_section(section("segmentation", nothing)))
