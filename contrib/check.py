"""Builds every plugin of this folder as a wheel, installs all of them into one folder, and runs
each one's own tests there: `python contrib/check.py FOLDER`. `tox -e contrib` calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CONTRIB = Path(__file__).resolve().parent


def pip(*words: object) -> None:
    command = [sys.executable, "-m", "pip", *map(str, words), "--quiet"]
    subprocess.run(command, check=True)  # noqa: S603


def main(folder: Path) -> int:
    projects = sorted(path.parent for path in CONTRIB.glob("*/pyproject.toml"))
    wheels, site = folder / "wheels", folder / "site"
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, *projects)
    found = ("--no-index", "--find-links", wheels, *(path.name for path in projects))
    # What they ask for is met by what is installed: nothing else is looked for.
    pip("install", "--dry-run", *found)
    pip("install", "--no-deps", "--upgrade", "--target", site, *found)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for project in projects:
        own = ("--rootdir", project, "-c", project / "pyproject.toml", project / "tests")
        command = [sys.executable, "-m", "pytest", "-q", *map(str, own)]
        done = subprocess.run(command, cwd=folder, env=environment)  # noqa: S603
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
