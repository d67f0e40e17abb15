"""The pytest plugin: `pytest --pyargs tallow_core.testing.suite --tallow KIND:NAME` makes a test of
every check.

pytest loads it wherever Tallow is installed, so it adds an option and imports nothing;
`tallow_core.testing.check_collection` does the rest when the suite is asked
for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_SUITE = Path(__file__).with_name("suite.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--tallow`."""
    parser.getgroup("tallow", "conformance of Tallow's drivers").addoption(
        "--tallow",
        action="append",
        metavar="KIND:NAME",
        help=(
            "check this installed driver, or `all`; may be repeated. With --pyargs"
            " tallow_core.testing.suite"
        ),
    )


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Collect checks instead of test functions from the suite."""
    if module_path.name != _SUITE.name or not module_path.samefile(_SUITE):
        return None
    from tallow_core.testing.check_collection import Suite

    return Suite.from_parent(parent, path=module_path)
