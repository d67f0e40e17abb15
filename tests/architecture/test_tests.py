"""The order of the tests themselves: what test modules share is in tests/kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.source_code import imports

TESTS = Path(__file__).parents[1]
MODULES = sorted(
    path for path in TESTS.rglob("*.py") if path.name.startswith(("test_", "conftest"))
)
KIT = sorted((TESTS / "kit").glob("*.py"))


def shared(module: str) -> bool:
    """Whether tests may import the module: the kit, and the list of debts."""
    return module.startswith("tests.kit") or module == "tests.architecture"


def strays(path: Path) -> list[str]:
    """What a module imports from other tests."""
    return [
        each.target
        for each in imports(path.stem, path.read_text("utf-8"))
        if each.target.split(".")[0] == "tests" and not shared(each.target)
    ]


def test_there_are_some() -> None:
    assert len(MODULES) > 90
    assert len(KIT) > 10


@pytest.mark.parametrize("path", [*MODULES, *KIT], ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_module_imports_another(path: Path) -> None:
    assert strays(path) == []


def test_the_rule_itself(tmp_path: Path) -> None:
    module = tmp_path / "test_x.py"
    module.write_text("def f():\n    from tests.cli.test_y import z\n")
    assert strays(module) == ["tests.cli.test_y"]
