"""The order of the tests themselves: what test modules share is in tests/kit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.kit.one_place import mixed
from tests.kit.source_code import imports

TESTS = Path(__file__).parents[1]
MODULES = sorted(
    path for path in TESTS.rglob("*.py") if path.name.startswith(("test_", "conftest"))
)
KIT = sorted((TESTS / "kit").glob("*.py"))


def shared(module: str) -> bool:
    """Whether tests may import the module: the kit alone."""
    return module.startswith("tests.kit")


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


@pytest.mark.parametrize(
    ("core", "plugins", "said"),
    [
        ("/c", "/c/plugins", None),
        ("/site", "/site", None),
        ("/c", "/site", "tallow_core comes from /c, but tallow_plugins from /site"),
        ("/site", "/c/plugins", "tallow_core comes from /site, but tallow_plugins from /c/plugins"),
        ("/c", None, "not installed"),
        (None, None, "not installed"),
    ],
)
def test_core_and_plugins_come_from_one_place(
    core: str | None, plugins: str | None, said: str | None
) -> None:
    first, second = (Path(each) if each else None for each in (core, plugins))
    reason = mixed(first, second, root=Path("/c"))
    assert (reason is None) if said is None else (reason is not None and said in reason)


CLOCK = re.compile(r"\b(monotonic|perf_counter)\(\)|\b(time|loop|get_running_loop\(\))\.time\(\)")


def clocks(node: ast.AST) -> bool:
    """Whether a duration is computed below a node, from a clock of the machine."""
    return any(
        isinstance(difference, ast.BinOp)
        and isinstance(difference.op, ast.Sub)
        and CLOCK.search(ast.unparse(difference))
        for difference in ast.walk(node)
    )


def durations(function: ast.AST) -> set[str]:
    """The names that a function gives to durations, and to functions inside that return one."""
    returning = {
        inner.name
        for inner in ast.walk(function)
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(each, ast.Return) and clocks(each) for each in ast.walk(inner))
    }
    return returning | {
        target.id
        for each in ast.walk(function)
        if isinstance(each, ast.Assign | ast.NamedExpr | ast.AnnAssign)
        and each.value is not None
        and clocks(each.value)
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
        if isinstance(target, ast.Name)
    }


def compares(function: ast.AST) -> bool:
    """Whether a function asserts something about a duration."""
    named = durations(function)
    return any(
        isinstance(each, ast.Assert)
        and (
            clocks(each.test)
            or any(isinstance(part, ast.Name) and part.id in named for part in ast.walk(each.test))
        )
        for each in ast.walk(function)
    )


def unmarked(source: str) -> list[str]:
    """Functions that compare durations, and are not marked `timing`."""
    return [
        function.name
        for function in ast.parse(source).body
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and compares(function)
        and "pytest.mark.timing" not in map(ast.unparse, function.decorator_list)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_what_compares_durations_is_marked(path: Path) -> None:
    assert unmarked(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "body",
    [
        "assert time.monotonic() - began < 1",
        "assert loop.time() - start < 5",
        "assert 0 < asyncio.get_running_loop().time() - start",
        "took = monotonic() - began\n    assert took < x",
        "async def f():\n        return monotonic() - began\n    assert run(f()) < x",
        "async def f():\n        took[0] = took_ = loop.time() - a\n        assert took_ < 1",
    ],
)
def test_the_rule_of_durations(body: str) -> None:
    source = f"def test_x():\n    {body}\n"
    assert unmarked(source) == ["test_x"]
    assert unmarked("@pytest.mark.timing\n" + source) == []


def test_a_deadline_is_no_duration() -> None:
    assert unmarked("def test_x():\n    assert time.monotonic() < deadline\n") == []
