"""Wheels without a network: those of installed distributions are put together again, and Tallow's
own is built."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.kit.checkout import ROOT

_OF_PIP = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"})
"""Files of a `.dist-info` folder that tell of the installation."""


def needed(*names: str) -> dict[str, Distribution]:
    """Installed distributions and all that they require here, by canonical name."""
    found: dict[str, Distribution] = {}
    todo = [Requirement(name) for name in names]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found[name] = distribution(requirement.name)
        further = map(Requirement, found[name].requires or ())
        todo += [each for each in further if not each.marker or each.marker.evaluate({"extra": ""})]
    return found


def repack(installed: Distribution, house: Path) -> Path:
    """Make a wheel out of an installed distribution; scripts are made anew by pip."""
    tag = next(
        line.partition(":")[2].strip()
        for line in (installed.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag:")
    )
    name = canonicalize_name(installed.metadata["Name"]).replace("-", "_")
    wheel = house / f"{name}-{installed.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        names = [
            file
            for file in installed.files or ()
            if ".." not in file.parts
            and "__pycache__" not in file.parts
            and not (file.parent.name.endswith(".dist-info") and file.name in _OF_PIP)
        ]
        for file in names:
            archive.write(str(file.locate()), str(file))
        (info,) = {file.parts[0] for file in names if file.parts[0].endswith(".dist-info")}
        rows = "".join(f"{file},,\n" for file in names)
        archive.writestr(f"{info}/RECORD", f"{rows}{info}/RECORD,,\n")
    return wheel


def wheelhouse(folder: Path, *names: str) -> Path:
    """A folder of wheels from which Tallow and `names` can be installed with --no-index."""
    folder.mkdir()
    for name, installed in needed("tallow", *names).items():
        if name != "tallow":
            repack(installed, folder)
    _own_wheel(folder)
    return folder


def _own_wheel(house: Path) -> None:
    """The wheel that is tested, or where the checkout is installed, one that is built of it."""
    own = distribution("tallow")
    if '"editable": true' not in (own.read_text("direct_url.json") or ""):
        repack(own, house)
        return
    subprocess.run(
        (
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            ROOT,
        ),
        cwd=house,
        check=True,
    )
