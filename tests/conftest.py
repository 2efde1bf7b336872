"""What every test may ask for: the shared real data, and a quiet, reproducible torch."""

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(os.environ.get("UNLABEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory):
    """A function: name of a shared data set -> the folder it is unpacked to; skips where the data is absent."""

    def unpack(name: str) -> Path:
        if not (SHARED / "unpack.py").exists():
            pytest.skip(f"needs the shared data sets ({SHARED} is absent; set UNLABEL_DATA to their folder)")
        import subprocess
        import sys

        root = tmp_path_factory.getbasetemp().parent / "unlabel-data"
        subprocess.run(
            [sys.executable, str(SHARED / "unpack.py"), name, "--to", str(root)],
            check=True,
            capture_output=True,
        )
        return root / name

    return unpack
