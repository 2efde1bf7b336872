import json
import re
import time
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.reporting.synthetic import (
    evaluation,
    make_run,
    metrics,
    run_json,
    write_embeddings,
    write_json,
    write_metrics,
)
from unlabel.errors import Fault
from unlabel.reporting import write_report, write_thumbnails


class Page(HTMLParser):
    """Elements, ids, text and scripts of a page, as a browser would find them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.inside = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        (data,) = [s for s in self.scripts if s.startswith("{")]
        self.data: dict[str, Any] = json.loads(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.text += data


@pytest.fixture(scope="module")
def page(finished: Path) -> Page:
    return Page(finished / "report.html")


def test_every_figure_is_there_once(page: Page) -> None:
    figures = {name for name in page.ids if name and name.startswith("fig-")}
    assert figures >= {
        "fig-accuracy", "fig-curves", "fig-curves-loss", "fig-curves-terms", "fig-curves-knn",
        "fig-curves-effective-rank", "fig-curves-std", "fig-curves-lr", "fig-factors", "fig-spectrum", "fig-geometry",
        "fig-spectra", "fig-spectra-projection", "fig-confusion", "fig-confused", "fig-map", "fig-neighbours",
        "fig-extremes", "fig-duplicates", "fig-outliers",
        "fig-views", "fig-reconstructions",
    }  # fmt: skip
    assert len(page.ids) == len(set(page.ids))
    assert set(page.data["figures"]) == {a["data-chart"] for _, a in page.tags if "data-chart" in a}


def test_verdict_and_key_numbers_come_first(page: Page) -> None:
    start = page.text[: page.text.index("Training")]
    for words in (
        "SimCLR on cifar10",
        "12,800 images",
        "16 epochs",
        "Learning",
        "69.4 %",
        "38.7 %",
        "35.2 %",
        "76.2 %",
    ):
        assert words in page.text
    assert page.text.index("It learned") < page.text.index("kNN accuracy")
    assert "±" in page.text
    assert start


def test_numbers_have_their_protocol_and_settings_are_complete(page: Page) -> None:
    assert "k: 20" in page.text
    assert "queries: 120" in page.text
    cells = {text.strip() for text in re.split(r"\n+", page.text)}
    for name in ("temperature", "weight_decay", "betas", "kwargs.zero_init_last", "fingerprint", "torch", "cores"):
        assert any(name in cell for cell in cells), name
    assert "1 h 11 min" in page.text
    assert "1.9 GB" in page.text
    assert "train/cat/broken.jpg" in page.text


def test_shape_lidar_and_live_knn_have_protocols_of_their_own(tmp_path: Path) -> None:
    run = make_run(tmp_path, queries=20, updates=40)
    assert "Protocol of" not in write_report(run).read_text(), "files of older versions say none"
    told, found = (json.loads((run / name).read_text()) for name in ("run.json", "evaluation.json"))
    found["protocols"] = {"shape": {"version": 1, "pairs": 917}, "lidar": {"version": 1, "views": 19}}
    write_json(run / "run.json", {**told, "live": {"version": 1, "memory": 1_234}})
    write_json(run / "evaluation.json", found | {"tolerance": 0.617})
    text = re.sub(r"<[^>]+>", "", write_report(run).read_text())
    assert "Tolerance0.617similarity of different images of one class" in text
    assert "Protocol version: 1 · pairs: 917" in text and "Protocol of LiDAR version: 1 · views: 19" in text
    assert "Protocol of live kNN version: 1 · memory: 1,234" in text


def test_nothing_is_loaded_and_only_our_scripts_may_run(page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(
        a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for script in page.scripts:
        if not script.startswith("{"):
            assert b64encode(sha256(script.encode()).digest()).decode() in policy
    assert "url(" not in page.source[page.source.index("<style>") : page.source.index("</style>")]


def test_accessible_skeleton(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == 1
    assert next(a for t, a in page.tags if t == "html")["lang"] == "en"
    assert all("alt" in a for t, a in page.tags if t == "img")
    assert all(a.get("aria-label") for _, a in page.tags if a.get("role") == "img")
    assert tags.count("table") == tags.count("caption")
    assert tags.count("figure") == tags.count("figcaption")
    assert sum(t == "meta" and a.get("name") == "viewport" for t, a in page.tags) == 1


def test_what_is_odd_in_the_data_is_named(page: Page) -> None:
    """The made-up run ends with its first two pictures again, and before them one unlike all others."""
    start = page.text.index("Found in the data")
    found = " ".join(page.text[start : page.text.index("What training saw")].split())
    assert "2 groups among 120 images." in found
    assert all(f"{name}.png" in found for name in ("00000", "00001", "00118", "00119"))
    assert "1 among 120 images." in found and "00117.png" in found
    extremes = page.text[page.text.index("Best and worst neighbours") : start]
    assert "8 of 8 nearest are of its class" in extremes and "0 of 8 nearest are of its class" in extremes


def test_nothing_odd_is_said_and_old_files_have_no_new_figures(tmp_path: Path) -> None:
    folder = make_run(tmp_path, queries=60, updates=20, odd=False)
    found = evaluation(np.random.default_rng(0), [], 60)
    del found["confusion"], found["untrained"]
    write_json(folder / "evaluation.json", found)
    lines = metrics(np.random.default_rng(0), 20)
    for line in lines:
        line.pop("spectrum", None)
        line.get("monitor", {}).pop("projection_alignment", None)
    write_metrics(folder, lines)
    page = Page(write_report(folder))
    assert page.text.count("None found among 60 images.") == 2
    assert not {"fig-spectra", "fig-confusion", "fig-confused"} & set(page.ids)
    assert {"fig-geometry", "fig-extremes"} <= set(page.ids)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_is_readable_on_every_ground_in_both_schemes(page: Page) -> None:
    """WCAG 2.2, AA: 4.5 for text, 3 for what charts are drawn with."""
    style = page.source[page.source.index("<style>") : page.source.index("</style>")]
    light, dark = (dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block)) for block in style.split("@media", 2)[:2])
    assert len(light) == len(dark) >= 11
    for scheme in (light, dark):
        for ground in ("paper", "card", "wash"):
            for text in ("ink", "soft", "run", "good", "open", "bad"):
                assert contrast(scheme[text], scheme[ground]) >= 4.5, (text, ground)
        for mark in ("random", "pixels"):
            assert contrast(scheme[mark], scheme["card"]) >= 3, mark
        for colour in ("run", "bad"):  # numbers in the cells of the confusion: half a colour at most
            half = "#" + "".join(
                f"{(int(scheme[colour][i : i + 2], 16) + int(scheme['card'][i : i + 2], 16)) // 2:02x}"
                for i in (1, 3, 5)
            )
            assert contrast(scheme["ink"], half) >= 4.5, colour


def test_the_page_stays_small(page: Page) -> None:
    from plotly.offline import get_plotlyjs

    assert len(page.source) - len(get_plotlyjs()) < 3_000_000


def test_the_same_folder_gives_the_same_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path, queries=30, updates=20)
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert sorted(p.name for p in folder.glob("*html*")) == ["report.html"]  # no temporary file stays


def test_only_run_json(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", run_json(800, 0) | {"finished": False})
    page = Page(write_report(tmp_path))
    for sentence in (
        "Training is not finished: 0 of 800 updates are done",
        "Not evaluated yet: kNN and linear accuracy are missing",
        "No curves: metrics.jsonl is missing or empty",
        "No spectrum: the run has not been evaluated",
        "No map: embeddings.parquet is missing",
        "No neighbour gallery: embeddings.parquet is missing",
        "No pictures: artifacts/ holds no PNG",
    ):
        assert sentence in page.text, sentence
    assert page.data == {"figures": {}, "map": None}


def test_an_empty_run_json(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {})
    assert "A run" in Page(write_report(tmp_path)).text


def test_not_a_run_folder(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"no run\.json"):
        write_report(tmp_path)


def test_no_labels(tmp_path: Path) -> None:
    folder = make_run(tmp_path, queries=40, updates=20)
    found = evaluation(np.random.default_rng(0), [], 40) | {
        "classes": None,
        "knn": None,
        "linear": None,
        "factors": None,
    }
    write_json(folder / "evaluation.json", found)
    vectors = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    write_embeddings(folder, [f"{i}.png" for i in range(40)], np.full(40, -1), vectors)
    page = Page(write_report(folder))
    assert "No labels: kNN and linear accuracy cannot be computed." in page.text
    assert "No factor chart: the data does not say" in page.text
    assert page.data["map"]["kinds"] == []
    assert set(page.data["map"]["kind"]) == {-1}
    assert "share the query's label" not in page.text
    assert "The loneliest images" in page.text and "of its class" not in page.text


def test_without_thumbnails_the_map_stays_and_the_gallery_says_why(tmp_path: Path) -> None:
    folder = make_run(tmp_path, queries=40, updates=20)
    (folder / "artifacts" / "thumbnails.jpg").unlink()
    page = Page(write_report(folder))
    assert page.data["map"]["sprite"] is None
    assert "fig-map" in page.ids
    assert "fig-neighbours" not in page.ids
    assert "the thumbnails in artifacts/, and one of these is missing" in page.text
    assert "Duplicates and outliers were not looked for" in page.text


@pytest.mark.parametrize(("broken", "why"), [(40, "40 embeddings are not finite numbers"), (0, "it takes two classes")])
def test_why_there_is_no_accuracy_of_labelled_images(tmp_path: Path, broken: int, why: str) -> None:
    folder = make_run(tmp_path, queries=40, updates=20)
    found = evaluation(np.random.default_rng(0), ["cat", "dog"], 40)
    write_json(folder / "evaluation.json", found | {"knn": None, "linear": None, "non_finite": broken})
    page = Page(write_report(folder))
    assert f"kNN and linear accuracy were not measured: {why}" in page.text and "No labels" not in page.text


def test_training_that_broke(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", run_json(10, 0) | {"finished": False})
    write_metrics(tmp_path, [{"update": u, "loss": float("nan"), "lr": float("inf"), "terms": {}} for u in range(1, 9)])
    found = evaluation(np.random.default_rng(0), [], 9)
    found |= {
        "knn": {"run": float("nan")},
        "spectrum": [float("nan")] * 4,
        "effective_rank": float("nan"),
        "verdict": None,
    }
    write_json(tmp_path / "evaluation.json", found)
    write_embeddings(tmp_path, ["a", "b"], np.array([0, 1]), np.full((2, 3), np.nan, np.float32))
    page = Page(write_report(tmp_path))
    assert "Diverging" in page.text
    assert "not a finite number in 8 of 8 updates" in page.text
    assert "2 of 2 embeddings hold a value that is not a finite number" in page.text
    assert set(page.data["figures"]["curves-loss"]["data"][0]["y"]) == {None}


HOSTILE = [
    "<img src=x onerror=window.pwned=1>.png",
    "</script><script>window.pwned=2</script>",
    '"><svg onload=window.pwned=3>',
    "'; window.pwned=4; '",
    "<!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u202egnp.exe",
    "&lt;b&gt;",
]


def hostile_run(folder: Path) -> Path:
    """A run in which every name that others choose tries to become code."""
    make_run(folder, queries=40, updates=20, classes=HOSTILE)
    run = run_json(20, 40)
    run["run"] |= {"data": HOSTILE[1], "method": HOSTILE[0], HOSTILE[2]: HOSTILE[1]}
    run["data"] |= {"spec": HOSTILE[0], "classes": HOSTILE}
    run["backbone"]["name"] = HOSTILE[2]
    write_json(folder / "run.json", run)
    found = evaluation(np.random.default_rng(0), HOSTILE, 40)
    found["verdict"] = {"state": HOSTILE[0], "sentence": HOSTILE[1], "advice": HOSTILE[2]}
    found["protocol"]["data"] = HOSTILE[1]
    found["factors"] = {name: {"run": 50.0, "kind": "class", "word": name} for name in HOSTILE}
    write_json(folder / "evaluation.json", found)
    lines = [{"update": u, "loss": 1.0, "terms": dict.fromkeys(HOSTILE, 0.125)} for u in range(20)]
    write_metrics(folder, lines)
    rng = np.random.default_rng(0)
    paths = [f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(40)]
    write_embeddings(folder, paths, np.arange(40) % len(HOSTILE), rng.normal(size=(40, 8)).astype(np.float32))
    skipped = [{"path": name, "reason": name} for name in [*HOSTILE, "lone \udcff surrogate"]] + [{}]
    (folder / "skipped.jsonl").write_text("".join(json.dumps(line) + "\n" for line in skipped))
    for name in ("views", "<script>alert(1)"):
        Image.new("RGB", (8, 8)).save(folder / "artifacts" / f"{name}.png")
    return folder


def test_names_cannot_become_code(tmp_path: Path) -> None:
    page = Page(write_report(hostile_run(tmp_path)))
    assert len(page.scripts) == 3  # the data, plotly, our own
    assert not [a for t, a in page.tags if t == "svg" or "onerror" in a or "onload" in a or a.get("src") == "x"]
    assert all(name in page.text for name in HOSTILE)  # shown letter by letter
    assert "49" not in page.data["map"]["kinds"]
    assert page.data["map"]["path"][1] == f"{HOSTILE[1]}1"
    assert "lone ? surrogate" in page.text


def test_huge_metrics_stay_small_and_quick(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", run_json(20_000, 0))
    write_metrics(tmp_path, metrics(np.random.default_rng(0), 20_000, monitors=3_000))
    begun = time.process_time()
    page = Page(write_report(tmp_path))
    assert time.process_time() - begun < 10
    for figure in page.data["figures"].values():
        assert all(len(trace["x"]) <= 2_000 for trace in figure["data"])


def test_many_skipped_files_are_counted(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"data": {"skipped": 3}})
    assert "Their names are not in this run folder" in Page(write_report(tmp_path)).text
    lines = [json.dumps({"path": f"{i}.jpg", "reason": "truncated"}) for i in range(1234)]
    (tmp_path / "skipped.jsonl").write_text("\n".join(lines) + "\n")
    page = Page(write_report(tmp_path))
    assert "1,234" in page.text
    assert "and 1,034 more in skipped.jsonl" in page.text
    assert "199.jpg" in page.text
    assert "200.jpg" not in page.text


def test_translation(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", run_json(20, 0) | {"backbone": None})
    row = {"fd": 80.0, "kid": 0.05, "kid_std": 0.01, "edges": 0.0}
    found = {
        "knn": None,
        "verdict": {"state": "learning", "sentence": "Translations are 40 % closer.", "advice": ""},
        "translation": {
            "protocol": {"features": "FD-random", "images_x": 60},
            "identity": row,
            "translation": row | {"fd": 48.0, "psnr": 17.25},
            "closer": 0.4,
        },
    }
    write_json(tmp_path / "evaluation.json", found)
    (tmp_path / "artifacts").mkdir()
    Image.new("RGB", (256, 64)).save(tmp_path / "artifacts" / "translations.png")
    page = Page(write_report(tmp_path))
    for words in ("40.0 %", "Fréchet distance", "80.0", "48.0", "17.2", "FD-random", "keeps no backbone"):
        assert words in page.text, words
    assert {"fig-translation", "fig-translations"} <= set(page.ids)
    assert not {"map", "representation"} & set(page.ids)


def test_a_label_beyond_the_class_names(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"data": {"classes": ["cat"]}})
    write_embeddings(tmp_path, ["a", "b", "c"], np.array([0, 5, -1]), np.eye(3, dtype=np.float32))
    write_thumbnails([], tmp_path / "artifacts")
    page = Page(write_report(tmp_path))
    assert page.data["map"]["kinds"] == ["cat", "class 5"]
    assert page.data["map"]["kind"] == [0, 1, -1]
