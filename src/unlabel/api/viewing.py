"""The embeddings of a run in an interactive viewer."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from unlabel.api.queries import vectors_of, view_of
from unlabel.console import tell
from unlabel.data.open import open_source
from unlabel.engine.callbacks import Signals
from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job
from unlabel.engine.keep import load_backbone
from unlabel.engine.places import check_folder
from unlabel.errors import Fault
from unlabel.reporting.atlas import MOST, atlas_charts, atlas_table, stored_atlas
from unlabel.reporting.files import Embeddings
from unlabel.reporting.thumbnails import thumbnail

HOST, PORT = "127.0.0.1", 5055
_TRIED = 20  # ports after the first
_IMAGES = 2_000
_SIDE = 96  # of thumbnails, in pixels
_GLANCE = 0.2


def atlas(
    run: str | Path,
    *,
    data: str | None = None,
    images: int | None = None,
    port: int | None = None,
    browser: bool = True,
    export: str | Path | None = None,
    console: Console | None = None,
) -> Path | None:
    """Open a run's embeddings in Embedding Atlas, on this machine only, until Ctrl-C.

    data     images to embed with the run's backbone and to show; default: those that the run's evaluation embedded
    images   embed so many, evenly taken from `data` (default: the run's own), at most 20,000
    port     to listen on; default: 5055 or the next free one
    browser  open a browser
    export   write the same page as files to this folder instead, for any web server, and return it

    Fault where the viewer is not installed, or the run has no backbone.
    """
    if find_spec("embedding_atlas") is None:
        raise Fault("the atlas is drawn by Embedding Atlas, which is not installed: pip install 'unlabel[atlas]'")
    if images is not None and not 3 <= images <= MOST:
        raise Fault(f"an atlas shows 3 to {MOST:,} images, not {images:,}")
    place = _empty(Path(export)) if export is not None else None
    chosen = None if place else _port(port)
    console = console or Console(stderr=True)
    table = None if data or images else stored_atlas(Path(run))
    if table is None:
        table = _embedded(run, data, images or _IMAGES, console)
    with tempfile.TemporaryDirectory(prefix="unlabel-atlas-") as folder:
        # The viewer's title is the name of what it is given.
        rows = Path(folder) / f"{Path(run).resolve().name}.parquet"
        pq.write_table(table, rows)
        rows.with_suffix(".json").write_text(json.dumps({"charts": atlas_charts(table)}))
        if chosen is None:
            assert place is not None
            status = _run(rows, "--export-application", str(place)).wait()
            if status or not (place / "index.html").exists():
                raise Fault(f"Embedding Atlas wrote nothing to {place} (status {status}); its own words are above")
            return place
        _serve(rows, chosen, len(table), browser, console)
    return None


def _embedded(run: str | Path, data: str | None, most: int, console: Console) -> pa.Table:
    """The table of images that are embedded now."""
    view = view_of(run)
    source = open_source(data or Job.from_dict(RunFolder(run).read()).run.data)
    indices = np.unique(np.linspace(0, len(source) - 1, min(most, len(source))).astype(np.int64))
    found = vectors_of(load_backbone(run), source, view, run, console, indices=indices)
    if len(found) < 3:
        raise Fault(f"{source.name} has {len(found)} images that can be read: an atlas takes at least three")
    kept = found.index.tolist()
    embeddings = Embeddings(
        [source.path(i) for i in kept], found.labels.numpy(), found.vectors.numpy(), np.arange(len(kept))
    )
    tell(console, f"laying out {len(kept):,} images ...")
    return atlas_table(embeddings, [thumbnail(source.image(i), _SIDE) for i in kept], source.classes)


def _run(rows: Path, *more: str) -> "subprocess.Popen[bytes]":
    """The viewer's own command, with the columns named. It computes no embedding and asks no network for anything."""
    words = ["--image", "image", "--x", "x", "--y", "y", "--neighbors", "neighbors", "--disable-projection"]
    # What stands for a region of the map is its densest image: the viewer's own measure takes half a minute.
    words += ["--pagerank", "density", "--state", str(rows.with_suffix(".json"))]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "embedding_atlas.cli", str(rows), *words, *more]
    # In a session of its own it hears of Ctrl-C from us alone.
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=quiet, start_new_session=True)


def _serve(rows: Path, port: int, count: int, browser: bool, console: Console) -> None:
    address = f"http://{HOST}:{port}"
    viewer = _run(rows, "--host", HOST, "--port", str(port), "--no-auto-port")
    with Signals() as signals:
        try:
            while viewer.poll() is None and not signals.asked and not _answers(address):
                time.sleep(_GLANCE)
            if viewer.poll() is None and not signals.asked:
                tell(console, f"{count:,} images at {address} (Ctrl-C ends it)")
                if browser:
                    webbrowser.open(address)
            while viewer.poll() is None and not signals.asked:
                time.sleep(_GLANCE)
        finally:
            viewer.terminate()
            viewer.wait()
    if viewer.returncode > 0:  # it is not we who ended it
        raise Fault(f"Embedding Atlas failed (status {viewer.returncode}); its own words are above")


def _answers(address: str) -> bool:
    """Whether there is a page; no proxy is asked for what lies on this machine."""
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=5).close()
    except OSError:
        return False
    return True


def _port(asked: int | None) -> int:
    """The port to listen on; Fault where the one asked for is taken."""
    if asked is not None:
        if not _free(asked):
            raise Fault(f"port {asked} of {HOST} is taken: choose another --port, or none for the next free one")
        return asked
    for port in range(PORT, PORT + _TRIED):
        if _free(port):
            return port
    raise Fault(f"the ports {PORT} to {PORT + _TRIED - 1} are taken: choose one with --port")


def _free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _empty(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Fault(f"{folder} exists and is not empty: choose another --export")
    check_folder(folder)
    return folder
