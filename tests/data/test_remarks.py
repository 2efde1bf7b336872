"""The sentences of a scan: the gravest first, each only where it is true."""

from unlabel.data.findings import Leak, Scan
from unlabel.data.remarks import remarks, size_on_disk


def scanned(**facts: object) -> Scan:
    return Scan("photos", "photos", **{"readable": 100, **facts})  # type: ignore[arg-type]


def test_nothing_odd_has_no_remarks() -> None:
    assert remarks(scanned(classes={"a": 10, "b": 99}, near_by_run=[])) == []


def test_leaks_come_first_and_each_picture_counts_once() -> None:
    split = {"splits": {"train": 90, "test": 10}, "train": "train"}
    leaks = [
        Leak("exact", ["photos/test/1.png", "photos/train/1.png", "photos/train/2.png"]),
        Leak("near", ["photos/test/1.png", "photos/test/2.png", "photos/train/9.png"]),
        Leak("run", ["photos/test/2.png", "photos/train/9.png"]),
    ]
    found = scanned(
        **split, leaks=leaks, constant=["x"], unreadable=[("y", "empty"), ("z", "cut short: x")], truncated=["z"]
    )
    first, second, *rest = remarks(found)
    assert first.grave and first.sentence.startswith("1 of 10 pictures outside the training split are also in `train`")
    assert second.grave and second.sentence.startswith("1 of 10 pictures outside the training split have nearly")
    assert [remark.grave for remark in rest] == [False, False]  # to the run it is no new one
    assert (
        rest[0].sentence
        == "2 of 102 files cannot be read, 1 of them because the file is cut short: training leaves them out"
    )
    assert rest[1].sentence.startswith("1 picture is nearly constant")


def test_between_splits_for_testing() -> None:
    leaks = [Leak("near", ["photos/test/1.png", "photos/val/1.png"])]
    (said,) = remarks(scanned(splits={"train": 80, "test": 10, "val": 10}, train="train", leaks=leaks))
    assert said.sentence == "1 group of the same picture in more than one split for testing"


def test_uneven_classes_are_told_from_ten_times_on() -> None:
    assert not remarks(scanned(classes={"cat": 999, "dog": 100}))
    (said,) = remarks(scanned(classes={"cat": 1000, "dog": 100}))
    assert "(cat, 1,000) has 10 times the pictures of the smallest (dog, 100)" in said.sentence and not said.grave


def test_no_readable_picture_is_grave() -> None:
    (said,) = remarks(scanned(readable=0, unreadable=[("a", "the file is empty")]))
    assert said.grave and said.sentence == "none of 1 file can be read: there is nothing to train on"


def test_less_than_two_pictures_to_train_on_are_too_few() -> None:
    assert not remarks(scanned(readable=2))
    (said,) = remarks(scanned(readable=1))
    assert said.grave and said.sentence == "1 picture to train on: it takes two at least"
    (said,) = remarks(scanned(readable=9, splits={"test": 9}, train="train"))
    assert said.sentence == "0 pictures to train on in `train`: it takes two at least"


def test_copies_are_those_too_many() -> None:
    said = remarks(scanned(duplicates=[["a", "b", "c"]], near=[["a", "d"], ["e", "f"]], near_by_run=[["a", "g"]]))
    assert [remark.sentence for remark in said] == [
        "2 pictures are copies of others, byte for byte", "2 pictures are nearly the same as another",
        "1 picture is nearly the same as another to the network of the run",
    ]  # fmt: skip


def test_groups_that_are_told_elsewhere_are_no_mere_copies() -> None:
    within, between = ["photos/train/a/1", "photos/train/a/2"], ["photos/train/a/3", "photos/test/a/3"]
    conflict = ["photos/train/a/4", "photos/train/b/4"]
    found = scanned(splits={"train": 1, "test": 1}, duplicates=[within, between, conflict], conflicts=[conflict])
    assert found.copies() == [within] and found.undivided([within, between]) == [within]


def test_many_constant_pictures_may_be_masks() -> None:
    for count, told in ((9, False), (10, True)):
        (said,) = remarks(scanned(constant=[str(k) for k in range(count)]))
        assert ("masks of labels" in said.sentence) == told
    (said,) = remarks(scanned(readable=8, constant=["a", "b", "c", "d"]))
    assert "masks" not in said.sentence


def test_sizes_have_a_unit_that_shows_them() -> None:
    assert [size_on_disk(scanned(bytes=n)) for n in (812, 99_000, 1_250_000)] == ["0.8 kB", "99.0 kB", "1.2 MB"]
