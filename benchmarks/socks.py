"""One file through a real SOCKS 5 server on loopback: microsocks, or dante where it is missing."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.processes import Child, Failed, free_port
from benchmarks.samples import Run, Sample
from benchmarks.tallow import LOOPBACK, direct_between

_PATIENCE_SECONDS = 10.0
_CARRIED = "connected to |tcp/connect"
"""What microsocks and dante log of a connection that they make."""
_DANTE = """logoutput: stderr
internal: {host} port = {port}
external: {host}
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect log: connect }}
"""


def missing() -> str:
    """Why there is no SOCKS server here, or nothing."""
    if _program("microsocks") or (_program("danted") and os.geteuid() == 0):
        return ""
    return "needs microsocks, or danted (Debian: dante-server) and root"


def direct(source: Path) -> Run:
    """As `tallow.direct` by `tcp`, but the receiver dials the sender through the server, which
    counts as a relay."""

    def run(work: Path) -> Sample:
        with _serving(work / "socks") as (server, options):
            measured = direct_between(source, work, LOOPBACK, "tcp", options)
            server.line(_CARRIED)  # the data really went through it
            server.terminate()
            cost = server.finish(status=None)
        return replace(measured, costs={**measured.costs, "relay": cost})

    return run


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[Child, tuple[str, ...]]]:
    """A server, and the options of Tallow for it."""
    folder.mkdir()
    port = free_port()
    config = folder / "config.toml"
    config.write_text(f'[plugin."proxy:socks5"]\nurl = "socks5://{LOOPBACK}:{port}"\n')
    with Child(_command(folder, port), folder / "home", listen="stderr") as server:
        _wait(port)
        yield server, ("--proxy", "socks5", "--config", str(config))


def _command(folder: Path, port: int) -> tuple[str, ...]:
    if small := _program("microsocks"):
        return (small, "-i", LOOPBACK, "-p", str(port))
    config = folder / "danted.conf"
    config.write_text(_DANTE.format(host=LOOPBACK, port=port))
    return (_program("danted") or "", "-f", str(config), "-p", str(folder / "pid"))


def _wait(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection((LOOPBACK, port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed("the SOCKS server does not listen")
