"""What every test may ask for: the shared real data, and a quiet, reproducible torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock

SHARED = Path(os.environ.get("UNLABEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes on these cores, as what it starts is
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory):
    """A function: name of a shared data set -> the folder it is unpacked to; skips where the data is absent."""

    def unpack(name: str) -> Path:
        if not (SHARED / "unpack.py").exists():
            pytest.skip(f"needs the shared data sets ({SHARED} is absent; set UNLABEL_DATA to their folder)")
        root = tmp_path_factory.getbasetemp().parent / "unlabel-data"
        command = [sys.executable, str(SHARED / "unpack.py"), name, "--to", str(root)]
        with FileLock(root.with_suffix(".lock")):  # tests may run in several processes
            subprocess.run(command, check=True, capture_output=True)
        return root / name

    return unpack
