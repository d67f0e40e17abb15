"""Who may import whom, read from the source, so that imports inside functions count too.

`types, errors, text < secrets < spi < protocol < dataplane < runtime < cli`, with `kinds, profiles,
settings, memory, passwords, calibration, catalog, hookspecs, host, policy` beside them. What is
imported for type checkers only has no order. The packages are found where they are installed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

LEAVES = frozenset({"errors", "types", "text"})
BELOW: dict[str, frozenset[str]] = {
    "__init__": frozenset(),
    **dict.fromkeys(LEAVES, LEAVES),
    "secrets": LEAVES,
    "spi": LEAVES | {"secrets"},
    "protocol": LEAVES | {"secrets", "spi"},
    "dataplane": LEAVES | {"secrets", "spi", "protocol"},
    "kinds": LEAVES | {"spi"},
    "profiles": LEAVES,
    "settings": LEAVES | {"kinds", "profiles"},
    "memory": LEAVES,
    "passwords": LEAVES | {"secrets", "memory", "settings"},
    "catalog": LEAVES | {"kinds", "settings"},
    "hookspecs": LEAVES,
    "host": LEAVES | {"spi", "kinds", "settings", "catalog", "hookspecs"},
    "calibration": LEAVES | {"secrets", "spi", "settings"},
    "policy": LEAVES | {"spi", "kinds", "profiles", "settings", "catalog", "host", "calibration"},
}
"""Package or module of tallow_core -> what it may import, beside itself."""
BELOW["runtime"] = frozenset(BELOW) - {"__init__"}
BELOW["testing"] = LEAVES | {
    "__init__",
    "secrets",
    "spi",
    "kinds",
    "settings",
    "catalog",
    "host",
    "protocol",
    "passwords",
}
BELOW["cli"] = frozenset(BELOW)
BELOW["__main__"] = frozenset({"__init__", "cli"})

SHELL = frozenset(
    {
        "asyncio",
        "socket",
        "ssl",
        "select",
        "selectors",
        "threading",
        "subprocess",
        "time",
        "datetime",
        "os",
        "random",
        "pluggy",
    }
)
"""What a sans-IO machine must not know."""

DRIVERS = LEAVES | {"secrets", "spi", "hookspecs", "kinds", "settings"}
"""What a first-party driver may know of the core; a command may know all of it."""


@dataclass(frozen=True, slots=True)
class Import:
    """`module` imports `target`; `typing` if only a type checker sees it."""

    module: str
    target: str
    typing: bool

    def __str__(self) -> str:
        return f"{self.module} imports {self.target}"


def imports(module: str, source: str) -> Iterator[Import]:
    """Every import of a source, wherever it stands."""
    yield from _imports(module, ast.parse(source), typing=False)


def _imports(module: str, node: ast.AST, *, typing: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(module, alias.name, typing) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module} has a relative import"
        assert node.module is not None
        whole = node.module if "." in node.module or not node.module.startswith("tallow") else None
        yield from (
            Import(module, whole or f"{node.module}.{alias.name}", typing) for alias in node.names
        )
    elif isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    ):
        for statement in node.body:
            yield from _imports(module, statement, typing=True)
        for statement in node.orelse:
            yield from _imports(module, statement, typing=typing)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(module, child, typing=typing)


@cache
def sources(package: str) -> dict[str, str]:
    """Module name -> source, of an installed package."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    root = Path(spec.submodule_search_locations[0])
    return {
        ".".join((package, *path.relative_to(root).with_suffix("").parts)): path.read_text("utf-8")
        for path in sorted(root.rglob("*.py"))
    }


@cache
def found(package: str) -> tuple[Import, ...]:
    """Every import of a package."""
    return tuple(
        each for module, source in sources(package).items() for each in imports(module, source)
    )


def area(module: str) -> str:
    """The part of tallow_core that a module belongs to."""
    part = module.split(".")[1] if "." in module else "__init__"
    return "__init__" if part == "__version__" else part


def out_of_order(each: Import) -> bool:
    """Whether an import of tallow_core breaks the order."""
    if each.typing or each.target.split(".")[0] != "tallow_core":
        return False
    importer, imported = area(each.module), area(each.target)
    return importer != imported and imported not in BELOW[importer]


def test_every_part_of_the_core_has_its_place() -> None:
    assert {area(module) for module in sources("tallow_core")} <= set(BELOW)
    assert len(sources("tallow_core")) > 50


def test_the_core_keeps_the_order() -> None:
    assert [str(each) for each in found("tallow_core") if out_of_order(each)] == []


def test_the_core_knows_no_plugin() -> None:
    assert [
        str(each) for each in found("tallow_core") if each.target.split(".")[0] == "tallow_plugins"
    ] == []
    named = [
        module
        for module, source in sources("tallow_core").items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith("tallow_plugins.")
    ]
    assert named == []


def test_pytest_is_for_pytest() -> None:
    """The kit runs without it: only what pytest itself imports may know it."""
    importers = {
        each.module
        for each in found("tallow_core")
        if each.target.split(".")[0] == "pytest" and not each.typing
    }
    assert importers == {"tallow_core.testing.collecting"}
    users = {
        each.module
        for each in found("tallow_core")
        if each.target == "tallow_core.testing.collecting"
    }
    assert users == {"tallow_core.testing.pytest_plugin"}


def test_the_machines_are_sans_io() -> None:
    machines = [each for each in found("tallow_core") if area(each.module) == "protocol"]
    assert len(machines) > 50
    assert [str(each) for each in machines if each.target.split(".")[0] in SHELL] == []


@pytest.mark.parametrize("package", ["tallow_core", "tallow_plugins"])
def test_t15_nobody_imports_random(package: str) -> None:
    assert [
        str(each) for each in found(package) if each.target.split(".")[0] in ("random", "numpy")
    ] == []


def test_no_driver_knows_what_a_transfer_is() -> None:
    drivers = [
        each
        for each in found("tallow_plugins")
        if not each.module.startswith("tallow_plugins.commands")
    ]
    core = [each for each in drivers if each.target.split(".")[0] == "tallow_core"]
    assert len(core) > 30
    assert [str(each) for each in core if area(each.target) not in DRIVERS] == []


def test_drivers_of_one_kind_do_not_know_those_of_another() -> None:
    crossing = [
        str(each)
        for each in found("tallow_plugins")
        if each.target.startswith("tallow_plugins.")
        and each.target.split(".")[1] != each.module.split(".")[1]
    ]
    assert crossing == []


@pytest.mark.parametrize(
    ("module", "source", "breaks"),
    [
        ("tallow_core.protocol.x", "from tallow_core.runtime.y import z", True),
        ("tallow_core.protocol.x", "def f():\n    import tallow_core.dataplane", True),
        ("tallow_core.protocol.x", "from tallow_core import settings", True),
        (
            "tallow_core.spi.x",
            "if TYPE_CHECKING:\n    from tallow_core.settings import Settings",
            False,
        ),
        (
            "tallow_core.spi.x",
            "if TYPE_CHECKING:\n    pass\nelse:\n    from tallow_core.settings import Settings",
            True,
        ),
        ("tallow_core.secrets", "from tallow_core.spi.kem import Kem", True),
        ("tallow_core.cli.x", "from tallow_core import __version__", False),
        ("tallow_core.runtime.x", "from tallow_core.testing.fakes import FakeClock", True),
        ("tallow_core.runtime.x", "from tallow_core.protocol.y import z", False),
        ("tallow_core.runtime.x", "from tallow_core.cli.y import z", True),
        ("tallow_core.protocol.x", "import tallow_core.protocol.y", False),
    ],
)
def test_the_rule_itself(module: str, source: str, breaks: bool) -> None:
    """A check that cannot fail is none."""
    (each,) = imports(module, source)
    assert out_of_order(each) is breaks
