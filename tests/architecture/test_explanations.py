"""What the pages say of the code is so: every function, module, decision and dependency that they
name exists, and every page is found from the first."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.kit.checkout import ROOT
from tests.kit.source_code import LEAVES, ROOMS

DOCS = ROOT / "docs"
ARCHITECTURE = DOCS / "explanation" / "architecture.md"
GLOSSARY = DOCS / "explanation" / "glossary.md"
DECISIONS = DOCS / "decisions"
INDEX = DECISIONS / "README.md"
LIBRARIES = DECISIONS / "libraries.md"
STATUS = re.compile(r"in force|replaced by \[\d{4}\]\(\S+\)|in part replaced by \[\d{4}\]\(\S+\)")
_LINK = re.compile(r"\]\(([^)#:]+\.md)(?:#[\w-]*)?\)")


def rows(page: Path, columns: int) -> list[list[str]]:
    """The cells of the rows of all tables of a page that have so many columns, headers left
    out."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    after = {index + 1 for index, line in enumerate(lines) if line.startswith("| ---")}
    heads = {index - 2 for index in after}
    return [
        row
        for index, row in enumerate(cells)
        if len(row) == columns and index not in heads and index + 1 not in after
    ]


def reached(page: Path) -> set[Path]:
    """The pages that can be reached from a page by links."""
    found, todo = {page}, [page]
    while todo:
        here = todo.pop()
        for target in _LINK.findall(here.read_text("utf-8")):
            there = (here.parent / target).resolve()
            if there.exists() and there not in found:
                found.add(there)
                todo.append(there)
    return found


def test_every_page_is_reached_from_the_index() -> None:
    pages = {page.resolve() for page in DOCS.rglob("*.md")}
    assert len(pages) > 60
    assert pages - reached((DOCS / "index.md").resolve()) == set()


def test_every_page_but_decisions_is_in_the_index() -> None:
    """One link from the map, not only over another page."""
    listed = {
        (DOCS / target).resolve()
        for target in _LINK.findall((DOCS / "index.md").read_text("utf-8"))
    }
    pages = {
        page.resolve()
        for page in DOCS.rglob("*.md")
        if page.name != "index.md" and not re.match(r"\d{4}-", page.name)
    }
    assert pages - listed == set()


def resolves(name: str) -> bool:
    """Whether a dotted name of tallow_core is there: a module, a class, a function or method."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_the_way_of_a_byte_exists() -> None:
    steps = [row[1].strip("`") for row in rows(ARCHITECTURE, 3) if row[0].isdigit()]
    assert len(steps) >= 20
    assert [step for step in steps if not resolves(step)] == []


def test_the_rooms_are_those_of_the_code() -> None:
    named = [row[0].strip("`") for row in rows(ARCHITECTURE, 3) if not row[0].isdigit()]
    assert named == ["leaves", *ROOMS]
    leaves = next(row[1] for row in rows(ARCHITECTURE, 3) if row[0] == "leaves")
    assert set(leaves.partition(": ")[2].split(", ")) == LEAVES - {"__init__"}


def test_terms_are_unique_and_lead_somewhere() -> None:
    terms = rows(GLOSSARY, 3)
    assert len(terms) > 60
    assert len({term for term, _, _ in terms}) == len(terms)
    for term, meaning, where in terms:
        assert meaning, term
        if where.startswith("`"):
            assert find_spec(where.strip("`")), f"{term}: no module {where}"
        else:
            target = re.fullmatch(r"\[[^\]]+\]\(([^)#]+)\)", where)
            assert target, f"{term}: {where} is neither a module nor a page"
            assert (GLOSSARY.parent / target[1]).is_file(), f"{term}: {where}"


def test_terms_are_sorted_out() -> None:
    """A term is explained once: no meaning is only another term."""
    names = {term for term, _, _ in rows(GLOSSARY, 3)}
    assert [term for term, meaning, _ in rows(GLOSSARY, 3) if meaning in names] == []


def test_every_decision_is_in_the_index() -> None:
    listed = rows(INDEX, 3)
    numbers = [number for number, _, _ in listed]
    pages = {page.name[:4]: page for page in DECISIONS.glob("[0-9]*.md")}
    assert sorted(numbers) == sorted(pages), f"add it to {INDEX.relative_to(ROOT)}"
    for number, title, status in listed:
        heading = pages[number].read_text("utf-8").splitlines()[0].removeprefix("# ")
        assert title == f"[{heading}]({pages[number].name})"
        assert STATUS.fullmatch(status), f"{number}: {status}"


def required(requirements: list[str]) -> set[str]:
    """The names of distributions in requirements."""
    names = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {name[0].lower() for name in names if name}


def test_every_dependency_is_in_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = required(project["dependencies"]).union(
        *(required(names) for extra, names in extras.items() if extra != "dev")
    )
    listed = {row[0].strip("`") for row in rows(LIBRARIES, 5)}
    assert listed == wanted


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("tallow_core.errors", True),
        ("tallow_core.errors.TallowError", True),
        ("tallow_core.errors.NoSuchError", False),
        ("tallow_core.no_such", False),
        ("no_such_package", False),
    ],
)
def test_the_rule_itself(name: str, there: bool) -> None:
    assert resolves(name) is there
