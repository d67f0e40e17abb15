"""An sshd of our own on loopback, with keys of its own: `tar` through `ssh`, and `scp`.

As root, sshd wants a user and a folder that only its package makes; it gets them in a mount
namespace, and the system stays as it is.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Child, free_port
from benchmarks.samples import Run, Sample
from benchmarks.tallow import LOOPBACK, same_size

_PLACES = ("/usr/sbin/sshd", "/usr/local/sbin/sshd")
_SERVER = """ListenAddress {host}:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""
_CLIENT = """Host bench
HostName {host}
Port {port}
User {user}
IdentityFile {folder}/user
IdentitiesOnly yes
BatchMode yes
StrictHostKeyChecking no
UserKnownHostsFile {folder}/known
LogLevel ERROR
"""
_PREPARE = """set -e
mount -t tmpfs none /run
mkdir -m 755 /run/sshd
if ! getent passwd sshd >/dev/null; then
  cp /etc/passwd {folder}/passwd
  echo 'sshd:x:65533:65534::/run/sshd:/bin/false' >>{folder}/passwd
  mount --bind {folder}/passwd /etc/passwd
fi
exec {sshd}
"""


def server(peers: Path | None) -> str | None:
    """The sshd that is installed, in the system or below `peers`."""
    mine = [str(peers / "openssh" / "usr/sbin/sshd")] if peers else []
    return next(
        (
            place
            for place in (*_PLACES, *mine, shutil.which("sshd") or "")
            if os.access(place, os.X_OK)
        ),
        None,
    )


def missing(peers: Path | None) -> str:
    """Why there is no ssh here, or nothing."""
    absent = [tool for tool in ("ssh", "scp", "ssh-keygen", "tar") if shutil.which(tool) is None]
    if server(peers) is None:
        absent.append("sshd (Debian: openssh-server)")
    return f"needs {', '.join(absent)}" if absent else ""


def tar(source: Path, peers: Path | None) -> Run:
    """`tar` piped through `ssh` to `tar`."""

    def run(work: Path) -> Sample:
        (out := work / "out").mkdir()
        with _serving(work, peers) as (sshd, config):
            there = shlex.quote(f"tar -C {shlex.quote(str(out))} -xf -")
            line = (
                f"tar -C {shlex.quote(str(source.parent))} -cf - {shlex.quote(source.name)} | ssh"
                f" -F {config} bench {there}"
            )
            return _measured(("sh", "-c", line), sshd, source, work)

    return run


def scp(source: Path, peers: Path | None, cipher: str) -> Run:
    """One file by `scp`."""

    def run(work: Path) -> Sample:
        (out := work / "out").mkdir()
        with _serving(work, peers) as (sshd, config):
            return _measured(
                ("scp", "-q", "-F", config, "-c", cipher, str(source), f"bench:{out}/"),
                sshd,
                source,
                work,
            )

    return run


def _measured(command: tuple[str, ...], sshd: Child, source: Path, work: Path) -> Sample:
    with Child(command, work / "a") as client:
        cost = client.finish()
        time.sleep(0.1)  # sshd waits for its session, whose cost is then its own
        sshd.terminate()
        there = sshd.finish(status=None)
    same_size(source, work / "out" / source.name)
    return Sample(cost.wall, cost.wall, {"sender": cost, "receiver": there})


@contextmanager
def _serving(work: Path, peers: Path | None) -> Iterator[tuple[Child, str]]:
    folder = work / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)),
            check=True,
            timeout=30,
        )
    values = {"folder": folder, "host": LOOPBACK, "port": free_port(), "user": getpass.getuser()}
    (folder / "server").write_text(_SERVER.format(**values))
    (folder / "client").write_text(_CLIENT.format(**values))
    with Child(
        _command(folder, peers), work / "sshd", listen="stderr", environment=_libraries(peers)
    ) as sshd:
        sshd.line("Server listening")
        yield sshd, str(folder / "client")


def _command(folder: Path, peers: Path | None) -> tuple[str, ...]:
    found = server(peers)
    assert found is not None
    command = (found, "-D", "-e", "-f", str(folder / "server"))
    if os.geteuid() != 0:
        return command
    script = _PREPARE.format(folder=shlex.quote(str(folder)), sshd=shlex.join(command))
    return ("unshare", "--mount", "sh", "-c", script)


def _libraries(peers: Path | None) -> dict[str, str]:
    """Where the libraries lie that were unpacked beside an sshd that is not the system's."""
    found = server(peers) or ""
    if peers is None or not found.startswith(str(peers)):
        return {}
    return {
        "LD_LIBRARY_PATH": ":".join(
            str(place) for place in (peers / "openssh" / "usr/lib").iterdir() if place.is_dir()
        )
    }
