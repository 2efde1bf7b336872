"""`unlabel atlas`: what it refuses, and what the viewer is started with; with the real one where it is installed."""

import io
import json
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

import unlabel
from tests.reporting.synthetic import make_run
from unlabel.api import viewing
from unlabel.errors import Fault

VIEWER = """
import http.server, json, pathlib, shutil, sys
words = sys.argv[1:]
given = {w[2:]: words[i + 1] for i, w in enumerate(words[:-1]) if w.startswith("--") and not words[i + 1].startswith("--")}
place = pathlib.Path(__file__).with_name("seen")
place.mkdir()
(place / "words.json").write_text(json.dumps(words))
shutil.copy(words[0], place / "rows.parquet")
shutil.copy(given["state"], place / "state.json")
if "fail" in pathlib.Path(words[0]).name:
    sys.exit("no viewer today")
if "export-application" in given:
    folder = pathlib.Path(given["export-application"])
    folder.mkdir()
    (folder / "index.html").write_text("<html>")
else:
    server = http.server.HTTPServer((given["host"], int(given["port"])), http.server.SimpleHTTPRequestHandler)
    for _ in range(2):  # the one that waits, and the browser
        server.handle_request()
"""


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in of the viewer that shows what it was started with, in the folder that this is."""
    package = tmp_path / "site" / "embedding_atlas"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(VIEWER)
    monkeypatch.setattr(viewing, "find_spec", lambda name: name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    return package / "seen"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with embeddings and thumbnails."""
    return make_run(tmp_path_factory.mktemp("atlas") / "shapes-1", queries=60)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind((viewing.HOST, 0))
        other.listen()
        yield other.getsockname()[1]


def test_it_is_served_on_this_machine_and_a_browser_opened(
    viewer: Path, evaluated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def browse(address: str) -> None:
        opened.append(address)
        look = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        threading.Thread(target=lambda: look(address, timeout=30).close()).start()

    monkeypatch.setattr(viewing.webbrowser, "open", browse)
    stream = io.StringIO()
    assert unlabel.atlas(evaluated, console=Console(file=stream, width=200)) is None
    words = json.loads((viewer / "words.json").read_text())
    port = words[words.index("--port") + 1]
    assert words[words.index("--host") + 1] == "127.0.0.1" and opened == [f"http://127.0.0.1:{port}"]
    assert f"60 images at http://127.0.0.1:{port}" in stream.getvalue()
    names = set(pq.read_schema(viewer / "rows.parquet").names)
    for option in ("--x", "--y", "--image", "--neighbors", "--pagerank"):
        assert words[words.index(option) + 1] in names
    assert "--disable-projection" in words and json.loads((viewer / "state.json").read_text())["charts"]
    assert Path(words[0]).name == "shapes-1.parquet" and not Path(words[0]).exists(), "nothing is left behind"


def test_other_images_are_embedded_and_written_as_files(viewer: Path, vit_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    assert unlabel.atlas(vit_run, images=12, export=out, console=Console(file=io.StringIO())) == out
    table = pq.read_table(viewer / "rows.parquet")
    assert table.num_rows == 12 and len(set(table["path"].to_pylist())) == 12 and table["image"].null_count == 0
    assert (out / "index.html").exists()


def test_a_viewer_that_fails_is_said(viewer: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "fail", queries=10)
    with pytest.raises(Fault, match=r"Embedding Atlas failed \(status 1\)"):
        unlabel.atlas(run, browser=False)
    (viewer / "words.json").unlink()
    for path in viewer.iterdir():
        path.unlink()
    viewer.rmdir()
    with pytest.raises(Fault, match="wrote nothing"):
        unlabel.atlas(run, export=tmp_path / "page")


def test_what_it_refuses(
    viewer: Path, evaluated: Path, cut_run: Path, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(Fault, match=f"port {taken} of 127.0.0.1 is taken"):
        unlabel.atlas(evaluated, port=taken)
    with pytest.raises(Fault, match="exists and is not empty"):
        unlabel.atlas(evaluated, export=tmp_path / "full")
    with pytest.raises(Fault, match="3 to 20,000 images, not 2"):
        unlabel.atlas(evaluated, images=2)
    with pytest.raises(Fault, match="translates images"):
        unlabel.atlas(cut_run)
    with pytest.raises(Fault, match="not a run folder"):
        unlabel.atlas(tmp_path / "full")
    assert not viewer.exists()
    monkeypatch.setattr(viewing, "find_spec", lambda name: None)
    with pytest.raises(Fault, match=r"not installed: pip install 'unlabel\[atlas\]'"):
        unlabel.atlas("/does/not/exist")


def test_a_taken_port_is_passed_over(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "PORT", taken)
    assert taken < viewing._port(None) < taken + viewing._TRIED


def test_the_real_viewer_takes_our_options(evaluated: Path, tmp_path: Path) -> None:
    pytest.importorskip("embedding_atlas", reason="needs `pip install 'unlabel[atlas]'`")
    out = tmp_path / "page"
    unlabel.atlas(evaluated, export=out)
    told = json.loads((out / "data" / "metadata.json").read_text())
    assert told["props"]["data"]["image"] == "image" and told["props"]["data"]["projection"] == {"x": "x", "y": "y"}
    assert told["props"]["data"]["neighbors"] == "neighbors" and "1" in told["props"]["initialState"]["charts"]
    assert pq.read_metadata(out / "data" / "dataset.parquet").num_rows == 60
