"""Run folders and their reports, made once for all tests of the page; tests that change a folder make their own."""

from pathlib import Path

import pytest

from tests.reporting.synthetic import make_run
from unlabel.reporting import write_report


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished, evaluated run with its report."""
    folder = make_run(tmp_path_factory.mktemp("finished"), queries=120)
    write_report(folder)
    return folder
