"""Who may import whom, read from the source: imports inside functions and for type checkers count.

The rooms of `tallow_core` have an order, lowest first (docs/explanation/architecture.md); a module
imports from its own room and from lower ones. There is no import cycle anywhere. The packages are
found where they are installed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.kit.source_code import DRIVERS, LEAVES, ROOMS, Import, area, imports, sources

INNER: dict[str, tuple[str, ...]] = {
    "files.source": (
        "wire_names",
        "ignore_patterns",
        "compression",
        "source_entry",
        "opened_source",
        "record_packer",
        "top_level",
        "tree_filter",
        "tree_reader",
        "tree_walk",
        "source_tree",
    ),
    "files.output": (
        "exclusive_rename",
        "placement",
        "output_folder",
        "staging",
        "journal",
        "output_survey",
        "resumable_staging",
        "hard_links",
        "link_maker",
        "file_writer",
        "small_files",
        "output_tree",
    ),
    "session": (
        "proxied_connector",
        "network",
        "context",
        "frame_io",
        "safety_check",
        "lane",
        "epochs",
        "channel",
        "lane_set",
        "rekey",
        "session",
    ),
    "paths": (
        "connection_streams",
        "throughput",
        "backlog",
        "lane_pool",
        "record_receiver",
        "record_sender",
        "dial_admission",
        "signal_exchange",
        "nat_drivers",
        "own_candidates",
        "direct_path_finder",
        "session_paths",
    ),
    "transfer": (
        "throttle",
        "progress",
        "session_report",
        "payloads",
        "sinks",
        "resume_store",
        "partial_send",
        "partial_receive",
        "decision",
        "reconnect",
        "sender",
        "receiver",
        "send",
        "receive",
    ),
}
"""Room, or part of one -> all of its modules, lowest first, where their order counts too."""

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


@cache
def found(package: str) -> tuple[Import, ...]:
    """Every import of a package."""
    return tuple(
        each for module, source in sources(package).items() for each in imports(module, source)
    )


def rank(part: str) -> int:
    """The place of a room in the order; leaves are below all."""
    if part == "__main__":
        return len(ROOMS)
    return -1 if part in LEAVES else ROOMS.index(part)


def out_of_order(each: Import) -> bool:
    """Whether an import of tallow_core breaks the order."""
    if each.target.split(".")[0] != "tallow_core":
        return False
    importer, imported = area(each.module), area(each.target)
    if importer != imported:
        return rank(imported) > rank(importer)
    return any(_breaks_inner_order(each, room) for room in INNER)


def _breaks_inner_order(each: Import, room: str) -> bool:
    """Whether an import within a room goes up in its inner order."""
    importer, imported = inner_name(each.module, room), inner_name(each.target, room)
    inner = INNER[room]
    return importer in inner and imported in inner and inner.index(imported) > inner.index(importer)


def inner_name(module: str, room: str) -> str:
    """The module's name within a room, empty if it lies elsewhere."""
    prefix = f"tallow_core.{room}."
    return module.removeprefix(prefix).split(".")[0] if module.startswith(prefix) else ""


def cycles(graph: dict[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """The strongly connected parts with more than one module (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[tuple[str, ...]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in sorted(graph.get(module, ())):
            if target not in index:
                yield from visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            part = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(part) > 1:
                yield tuple(sorted(part))

    for module in sorted(graph):
        if module not in index:
            yield from visit(module)


def graph(package: str) -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports. A package's own docstring module is no
    part of it."""
    modules = sources(package)
    edges: dict[str, set[str]] = {module: set() for module in modules}
    for each in found(package):
        for target in (each.target, f"{each.target}.{each.name}"):
            if target in modules and target != each.module:
                edges[each.module].add(target)
    return edges


def test_every_part_of_the_core_has_its_place() -> None:
    parts = {area(module) for module in sources("tallow_core")}
    assert parts <= {*LEAVES, *ROOMS, "__main__"}
    assert len(sources("tallow_core")) > 50


def test_the_core_keeps_the_order() -> None:
    assert {str(each) for each in found("tallow_core") if out_of_order(each)} == set()


@pytest.mark.parametrize("room", INNER)
def test_an_inner_order_lists_all_modules(room: str) -> None:
    modules = {inner_name(name, room) for name in sources("tallow_core")}
    assert set(INNER[room]) == modules - {"", "__init__"}


def test_the_core_has_no_cycle() -> None:
    assert tuple(cycles(graph("tallow_core"))) == ()


def test_the_plugins_have_no_cycle() -> None:
    assert tuple(cycles(graph("tallow_plugins"))) == ()


def test_a_cycle_is_found() -> None:
    """A check that cannot fail is none."""
    knot = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert tuple(cycles(knot)) == (("b", "c"),)


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
    assert importers == {"tallow_core.testing.check_collection"}
    users = {
        each.module
        for each in found("tallow_core")
        if each.target == "tallow_core.testing.check_collection"
    }
    assert users == {"tallow_core.testing.pytest_plugin"}


def crosses(each: Import) -> bool:
    """Whether reading files imports writing them, or the other way round."""
    parts = ("tallow_core.files.source", "tallow_core.files.output")
    imported = f"{each.target}.{each.name}."
    return any(
        each.module.startswith(f"{one}.") and imported.startswith(f"{other}.")
        for one, other in (parts, parts[::-1])
    )


def test_source_and_output_never_import_each_other() -> None:
    assert {str(each) for each in found("tallow_core") if crosses(each)} == set()


@pytest.mark.parametrize(
    ("module", "source", "breaks"),
    [
        ("tallow_core.files.source.x", "from tallow_core.files.output.y import z", True),
        ("tallow_core.files.source.x", "from tallow_core.files import output", True),
        ("tallow_core.files.output.x", "import tallow_core.files.source.y", True),
        ("tallow_core.files.output.x", "import tallow_core.files.output.y", False),
        ("tallow_core.files.y", "import tallow_core.files.output.y", False),
    ],
)
def test_the_rule_of_source_and_output(module: str, source: str, breaks: bool) -> None:
    (each,) = imports(module, source)
    assert crosses(each) is breaks


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
        ("tallow_core.protocol.x", "from tallow_core.session.y import z", True),
        ("tallow_core.protocol.x", "def f():\n    import tallow_core.files", True),
        ("tallow_core.config.x", "from tallow_core import offers", False),
        ("tallow_core.spi.x", "if TYPE_CHECKING:\n    from tallow_core.config.y import z", True),
        ("tallow_core.secrets", "from tallow_core.spi.kem import Kem", True),
        ("tallow_core.cli.x", "from tallow_core import __version__", False),
        ("tallow_core.session.x", "from tallow_core.testing.fakes import FakeClock", True),
        ("tallow_core.session.x", "from tallow_core.protocol.y import z", False),
        ("tallow_core.session.x", "from tallow_core.cli.y import z", True),
        ("tallow_core.protocol.x", "import tallow_core.protocol.y", False),
        (
            "tallow_core.files.output.staging",
            "from tallow_core.files.output.output_tree import OutputTree",
            True,
        ),
        (
            "tallow_core.files.output.output_tree",
            "from tallow_core.files.output.staging import StagingArea",
            False,
        ),
    ],
)
def test_the_rule_itself(module: str, source: str, breaks: bool) -> None:
    """A check that cannot fail is none."""
    (each,) = imports(module, source)
    assert out_of_order(each) is breaks
