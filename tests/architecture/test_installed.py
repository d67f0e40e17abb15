"""The tests run against what was installed, not against the tree that they lie in."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import pytest

import tallow_core
import tallow_plugins
from tests.kit.lab import PATIENCE

pytestmark = pytest.mark.skipif(
    os.environ.get("TALLOW_EXPECT_INSTALLED") != "1",
    reason="TALLOW_EXPECT_INSTALLED=1 is not set: tox sets it, where a built wheel is tested",
)


def installed() -> Path:
    return Path(sysconfig.get_path("purelib")).resolve()


@pytest.mark.parametrize(
    "package", [tallow_core, tallow_plugins], ids=lambda package: package.__name__
)
def test_packages_are_the_installed_ones(package: object) -> None:
    file = Path(getattr(package, "__file__", "")).resolve()
    assert file.is_relative_to(installed()), f"{file} is tested instead of the wheel"


@pytest.mark.processes
def test_so_are_those_of_the_processes(tmp_path: Path) -> None:
    """What `python -m tallow_core` runs in the end-to-end tests."""
    shown = subprocess.run(
        [sys.executable, "-c", "import tallow_core; print(tallow_core.__file__)"],
        cwd=tmp_path,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert Path(shown.stdout.strip()).resolve().is_relative_to(installed())


def test_it_is_no_editable_install() -> None:
    metadata = distribution("tallow")
    assert '"editable": true' not in (metadata.read_text("direct_url.json") or "")
    names = {str(file) for file in metadata.files or ()}
    assert {
        "tallow_core/py.typed",
        "tallow_plugins/py.typed",
        "tallow_core/protocol/handshake/words.txt",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "plugins/", "docs/"))]
