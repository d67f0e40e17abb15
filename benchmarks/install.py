"""Installs the programs that Tallow is compared with into one folder, from package registries, by
their own installers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import peers, ssh

_LIMIT = 3600
_WORMHOLE = ("magic-wormhole", "magic-wormhole-mailbox-server", "magic-wormhole-transit-relay")
_DEBIAN = ("openssh-server", "libwrap0")


def install(folder: Path) -> None:
    """Install what is not there yet; say what cannot be installed, and go on."""
    folder.mkdir(parents=True, exist_ok=True)
    if ssh.server(folder) is None:
        _try("sshd", ("apt-get", "download", *_DEBIAN), folder)
        for package in sorted(folder.glob("*.deb")):
            _try("sshd", ("dpkg", "-x", str(package), str(folder / "openssh")), folder)
            package.unlink()
    if peers.missing(folder, "wormhole", "twist"):
        venv = folder / "wormhole"
        if _try("magic-wormhole", (sys.executable, "-m", "venv", str(venv)), folder):
            _try(
                "magic-wormhole",
                (str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", *_WORMHOLE),
                folder,
            )
    if peers.program("croc", folder) is None:
        _try(
            "croc",
            ("go", "install", "github.com/schollz/croc/v10@latest"),
            folder,
            GOBIN=str(folder / "bin"),
        )
    if peers.program("sendme", folder) is None:
        _try("sendme", ("cargo", "install", "--quiet", "--root", str(folder), "sendme"), folder)


def _try(name: str, command: tuple[str, ...], folder: Path, **environment: str) -> bool:
    if shutil.which(command[0]) is None:
        print(f"cannot install {name}: there is no {command[0]}")
        return False
    print(f"installing {name} ...", flush=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_LIMIT,
        check=False,
    )
    if done.returncode:
        print(f"cannot install {name}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
    return done.returncode == 0
