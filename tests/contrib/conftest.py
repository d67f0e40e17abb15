"""Where the plugins of contrib/ are: built as wheels and installed by `tox -e contrib`, beside the
installed wheel of Tallow."""

from __future__ import annotations

import os
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from tests.kit.contrib_names import CIPHER, TRANSPORT, WEB_SOCKET

WHY = (
    "TALLOW_CONTRIB is not set: tox -e contrib sets it to the folder where the wheels of contrib/"
    " are installed"
)


@pytest.fixture
def having() -> dict[str, str]:
    """The environment of a process for which they are installed; for every other one of these tests
    they are not."""
    site = os.environ.get("TALLOW_CONTRIB")
    if site is None:
        pytest.skip(WHY)
    for name in (CIPHER, TRANSPORT, WEB_SOCKET):
        (found,) = Distribution.discover(
            name=name, path=[site]
        )  # set, and not there: that is a failure
        assert Path(str(found.locate_file(""))) == Path(site)
        assert found.read_text("direct_url.json") is None, "it was not installed from a wheel"
    return {"PYTHONPATH": site}
