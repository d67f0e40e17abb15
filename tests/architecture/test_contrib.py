"""What lies in contrib/ is written as a stranger would: it uses what is published, and nobody here
knows of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.kit.source_code import DRIVERS, area, imports, sources

CONTRIB = Path(__file__).parents[2] / "contrib"
PROJECTS = sorted(path for path in CONTRIB.iterdir() if (path / "pyproject.toml").is_file())


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return found


def test_there_are_some() -> None:
    assert {path.name for path in PROJECTS} >= {
        "tallow-cipher-xchacha20-poly1305",
        "tallow-transport-unix",
        "tallow-transport-ws",
    }


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_it_is_a_distribution_of_its_own(folder: Path) -> None:
    facts = project(folder)
    assert facts["name"] == folder.name
    assert any(dependency.startswith("tallow>=") for dependency in facts["dependencies"])
    assert (folder / "README.md").is_file()
    for group, points in facts["entry-points"].items():
        for name, module in points.items():
            assert folder.name == f"tallow-{group.partition('.')[2]}-{name}"
            assert module == folder.name.replace("-", "_")


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_nobody_knows_of_it(folder: Path) -> None:
    words = (folder.name, folder.name.replace("-", "_"))
    told = {**sources("tallow_core"), **sources("tallow_plugins")}
    assert [
        module for module, source in told.items() if any(word in source for word in words)
    ] == []


@pytest.mark.parametrize("folder", PROJECTS, ids=lambda folder: folder.name)
def test_it_uses_what_a_driver_may_know(folder: Path) -> None:
    own = folder.name.replace("-", "_")
    for file in (folder / "src").rglob("*.py"):
        for each in imports(f"{own}.{file.stem}", file.read_text("utf-8")):
            package = each.target.partition(".")[0]
            assert package != "tallow_plugins"
            assert package != "tallow_core" or area(each.target) in DRIVERS, (
                f"{file}: {each.target}"
            )
