"""What the import contract cannot say of the layout."""

import ast
import re
from pathlib import Path

import pytest

import unlabel
from unlabel import api, methods

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "unlabel"
FILES = sorted(SOURCE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports, by full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_method_imports_another() -> None:
    for name in methods.available():
        others = {f"unlabel.methods.{other}" for other in methods.available()}
        assert not imported(SOURCE / "methods" / f"{name}.py") & others, name


def test_losses_know_neither_state_nor_process_group() -> None:
    for path in (SOURCE / "losses").glob("*.py"):
        assert not {name for name in imported(path) if name.startswith(("torch.distributed", "unlabel.distributed"))}, (
            path
        )
        assert "nn.Module" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_stay_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "more than 400 lines: this is two files"
    assert ast.get_docstring(ast.parse(text)), "a file says in one sentence what it is for"


def test_checkpoints_and_weights_are_read_without_running_code() -> None:
    for path in FILES:
        for call in re.findall(r"(?:torch|np)\.load\((?:[^()]|\([^()]*\))*\)", path.read_text(encoding="utf-8")):
            assert "weights_only=True" in call or "allow_pickle=False" in call, f"{path}: {call}"


def test_every_file_of_tests_has_its_room() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and not folder.name.startswith((".", "_")):
            assert folder.name in rooms, f"tests/{folder.name} mirrors no room of src/unlabel"


def test_the_names_of_the_package_are_functions_of_the_api_and_stay_so() -> None:
    """Importing a subpackage binds its name in the package: it would then hide the function of that name."""
    rooms = {path.stem for path in SOURCE.iterdir()}
    for name in unlabel.__all__:
        assert name not in rooms, name
        assert getattr(unlabel, name) is getattr(api, name)
