"""The README's table of methods is the one that the code makes."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_methods_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "evidence" / "tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert tables.methods() in (ROOT / "README.md").read_text(), "run benchmarks/evidence/tables.py"
