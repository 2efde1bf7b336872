"""A scan from Python, with a run and with advice; the rules of the advice, whatever the machine."""

import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import unlabel
from unlabel.api import advising
from unlabel.api.advising import FEW, PLENTY, advise
from unlabel.api.scanning import Scanned
from unlabel.cli.arguments import parse
from unlabel.data.findings import Scan
from unlabel.data.scan import scan as look_through
from unlabel.engine import options as engine_options
from unlabel.engine.job import Job
from unlabel.engine.trial import Trial
from unlabel.errors import Fault, Faults

QUIET = Console(file=io.StringIO())


def cloud(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "my photos"
    root.mkdir()
    for k in range(40):
        cloud(k, (150, 130)).save(root / f"{k:02d}.png")
    return root


@pytest.fixture(scope="module")
def found(photos: Path) -> Scan:
    return look_through(photos)


Timed = list[tuple[int, str]]


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says how long an image takes, by size and network, instead of training, and that there are 50,000 images.

    Returns what was asked. batch: that of all recipes; otherwise there are only 40 images for one.
    """

    def of(
        seconds: Any, saved: float = 0.0, free: int | None = None, batch: int | None = None, images: int = 50_000
    ) -> Timed:
        asked: Timed = []

        def timed(job: Job, sources: Any, say: Any) -> Trial:
            asked.append((job.size, job.backbone.name if job.backbone else ""))
            return Trial(seconds(*asked[-1]) if callable(seconds) else seconds, saved, 0)

        inner = advising.decide if not hasattr(advising.decide, "inner") else advising.decide.inner

        def decided(*arguments: Any) -> Job:
            job = inner(*arguments)
            return replace(job, plan=replace(job.plan, batch_size=batch or job.plan.batch_size), images=images)

        decided.inner = inner  # type: ignore[attr-defined]
        monkeypatch.setattr(advising, "decide", decided)
        monkeypatch.setattr(advising, "trial", timed)
        monkeypatch.setattr(advising, "free_memory", lambda device: free)
        return asked

    return of


def advised(found: Scan, photos: Path, budget: str = "30m") -> dict[str, str]:
    advice = advise(found, photos, budget)
    assert advice is not None
    positional, options, faults = parse(shlex.split(advice.command)[2:])
    assert not faults and options["data"] == str(photos)
    engine_options.check(positional[0], options)  # whoever types it is not refused
    assert all(choice.reason for choice in advice.choices)
    names = [choice.name for choice in advice.choices]
    assert names[:5] == ["method", "size", "backbone", "recipe", "batch-size"] and names[-1] == "epochs"
    return {"method": positional[0], **options, "notes": " ".join(advice.notes)}


def batches(count: float, batch: int = 256, budget: float = 1800) -> float:
    """Seconds an image of which the budget allows so many updates."""
    return 0.89 * budget / (count * batch)


def test_enough_time_keeps_the_size_of_the_pictures(found: Scan, photos: Path, speed: Any) -> None:
    asked = speed(batches(2 * FEW, 40))
    plan = advised(found, photos)
    assert (plan["method"], plan["size"], plan["backbone"], plan["budget"]) == ("simclr", "128", "tiny_resnet", "30m")
    assert plan["batch_size"] == "40" and plan["recipe"] == "large" and not plan["notes"]  # as many as there are
    assert asked == [(128, "tiny_resnet")]


def test_too_few_updates_make_the_pictures_smaller(found: Scan, photos: Path, speed: Any) -> None:
    """An image takes as long as it has pixels: at 96 px there are enough updates for the first time."""
    asked = speed(lambda size, name: batches(FEW, 40) * (size / 100) ** 2)
    plan = advised(found, photos)
    assert asked == [(128, "tiny_resnet"), (96, "tiny_resnet")]
    assert (plan["size"], plan["recipe"]) == ("96", "minutes") and not plan["notes"]


def test_what_cannot_be_done_is_said(found: Scan, photos: Path, speed: Any) -> None:
    asked = speed(batches(100, 40))
    plan = advised(found, photos)
    assert [size for size, _ in asked] == [128, 96, 64, 32]
    assert plan["size"] == "32" and "about 100 updates" in plan["notes"] and "5.0 h" in plan["notes"]


def test_plenty_of_time_is_for_a_larger_network(found: Scan, photos: Path, speed: Any) -> None:
    asked = speed(lambda size, name: batches({"tiny_resnet": 5, "small_resnet": 2}[name] * PLENTY, 40))
    assert advised(found, photos)["backbone"] == "small_resnet" and len(asked) == 2
    speed(lambda size, name: batches({"tiny_resnet": 5, "small_resnet": 0.5}[name] * PLENTY, 40))
    assert advised(found, photos)["backbone"] == "tiny_resnet"


def test_a_batch_is_halved_for_updates_and_for_memory(found: Scan, photos: Path, speed: Any) -> None:
    speed(batches(FEW, 256), batch=256)
    assert advised(found, photos)["batch_size"] == "256"
    speed(batches(0.3 * FEW, 256), batch=256)
    assert advised(found, photos)["batch_size"] == "64"
    speed(batches(FEW, 256), batch=256, saved=1e6, free=400_000_000)  # 2 MB an image, of 200 MB
    assert advised(found, photos)["batch_size"] == "64"


def test_no_more_than_a_thousand_passes(found: Scan, photos: Path, speed: Any) -> None:
    """40 of 50,000 images an update: 1,250,000 updates are a thousand passes."""
    for updates, name in ((1_240_000, "budget"), (1_260_000, "epochs")):
        speed(lambda size, network, updates=updates: batches(updates if network == "tiny_resnet" else 1, 40))
        plan = advised(found, photos)
        assert name in plan and not {"budget", "epochs"} - {name} & set(plan)
    assert plan["epochs"] == "1000"


def test_a_budget_says_how_many_epochs_it_is(found: Scan, photos: Path, speed: Any) -> None:
    """2,000 updates of 40 of 50,000 pictures are 1.6 epochs, and no option beside the budget."""
    speed(batches(2 * FEW, 40))
    advice = advise(found, photos, "30m")
    assert advice is not None and "--epochs" not in advice.command and "--budget 30m" in advice.command
    assert (advice.choices[-1].value, advice.choices[-1].follows) == ("about 1.6", True)
    assert "about 2,000 updates of 40 of the 50,000 pictures" in advice.choices[-1].reason


def test_few_pictures_are_said_to_be_few(found: Scan, photos: Path, speed: Any) -> None:
    speed(batches(2 * FEW, 40))
    assert not advised(found, photos)["notes"]
    speed(batches(2 * FEW, 40), images=999)
    assert advised(found, photos)["notes"].startswith("999 pictures are few to learn from")


def test_pictures_that_meet_their_copies_want_no_negatives(found: Scan, photos: Path, speed: Any) -> None:
    """A thousand pictures in groups of g: (g - 1) 255 / 999 copies in a batch, at least a half from g = 3 on."""
    speed(batches(FEW, 40))
    for size, method in ((2, "simclr"), (3, "byol")):
        groups = [[f"{k}-{m}" for m in range(size)] for k in range(1000 // size)]
        assert advised(replace(found, readable=1000, near=groups), photos)["method"] == method
        assert advised(replace(found, readable=1000, duplicates=groups), photos)["method"] == method
    divided = replace(found, readable=2000, splits={"test": 1000, "train": 1000}, train="train", near=groups)
    assert advised(divided, photos)["method"] == "simclr"  # none of them is trained on
    mixed = replace(found, readable=1000, near=[[f"a{k}", f"b{k}"] for k in range(300)])
    assert advised(mixed, photos)["method"] == "simclr"  # 0.6 x 255 / 999 = 0.15 copies
    thrice = replace(mixed, duplicates=[[f"a{k}", f"c{k}"] for k in range(300)])  # copies of what is nearly the same
    assert advised(thrice, photos)["method"] == "simclr"  # 1.8 x 255 / 999 = 0.46
    again = replace(thrice, duplicates=[[f"a{k}", f"c{k}", f"d{k}"] for k in range(200)])  # 2.6
    assert advised(again, photos)["method"] == "byol"


def test_too_few_pictures_and_no_time(found: Scan, photos: Path) -> None:
    assert advise(replace(found, readable=1), photos, "30m") is None
    with pytest.raises(Faults, match="budget"):
        advise(found, photos, "soon")


def test_a_scan_from_python_with_a_real_trial(photos: Path, tmp_path: Path) -> None:
    done = unlabel.scan(photos, budget="1m", html=tmp_path / "scan.html", console=QUIET)
    assert done.found.readable == 40 and done.html == tmp_path / "scan.html" and done.html.exists()
    assert done.advice is not None and "img" not in done.advice.command
    values = json.loads(json.dumps(done.as_dict()))
    assert values["readable"] == 40 and values["advice"]["choices"][0]["name"] == "method"


def test_a_run_finds_what_is_nearly_the_same_to_it(photos: Path, cnn_run: Path, tmp_path: Path) -> None:
    """Pictures with one other pixel; a constant one and a copy byte for byte are nobody's near duplicates."""
    for split, pictures in (("train", range(0, 12)), ("test", range(8, 16))):
        (tmp_path / split).mkdir()
        for k in pictures:
            picture = cloud(k)
            picture.putpixel((5, 5), (0, 0, 0) if split == "test" else (255, 255, 255))
            picture.save(tmp_path / split / f"{k:02d}.png")
    cloud(50).save(tmp_path / "train/50.png")
    (tmp_path / "train/51.png").write_bytes((tmp_path / "train/50.png").read_bytes())
    for k in range(2):
        Image.new("RGB", (64, 64), (k, 0, 0)).save(tmp_path / f"train/flat{k}.png")
    (tmp_path / "test/bad.png").write_bytes(b"")
    done = unlabel.scan(tmp_path, run=cnn_run, distance=1e-3, budget=None, console=QUIET)
    pairs = [[f"{tmp_path}/test/{k:02d}.png", f"{tmp_path}/train/{k:02d}.png"] for k in range(8, 12)]
    assert done.found.near_by_run == pairs
    assert [leak.paths for leak in done.found.leaks if leak.kind == "run"] == pairs


def test_without_a_budget_nothing_is_timed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlabel.api.scanning.advise", None)
    assert unlabel.scan(photos, budget=None, console=QUIET).advice is None


def test_wrong_values_are_refused_before_anything_is_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlabel.api.scanning.look_through", None)
    with pytest.raises(Fault, match="budget"):
        unlabel.scan(photos, budget="soon")
    with pytest.raises(Fault, match="between 0 and 1, not 2"):
        unlabel.scan(photos, distance=2.0)
    with pytest.raises(Fault, match="not a run folder"):
        unlabel.scan(photos, run=photos)


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlabel.api.scanning.look_through", None)
    (tmp_path / "file").write_text("x")
    for page in (tmp_path / "file" / "scan.html", tmp_path):
        with pytest.raises(Fault, match=rf"{re.escape(page.name)} cannot be written: .* folder"):
            unlabel.scan(photos, budget=None, html=page)


def test_a_page_that_fails_in_the_end_is_a_fault(found: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unlabel.reporting.scan_page.write_atomically", full)
    with pytest.raises(Fault, match="cannot be written: No space left on device"):
        Scanned(found, None, None).write(tmp_path / "scan.html")


def test_a_pack_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "photos.pack").write_bytes(b"x")
    with pytest.raises(Fault, match=r"photos.pack is a pack: scan the folder that it was made of"):
        unlabel.scan(tmp_path / "photos.pack", console=QUIET)
