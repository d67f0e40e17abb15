"""Real SOCKS 5 servers of Debian, as processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

PATIENCE_SECONDS = 10.0


class SocksServer(NamedTuple):
    """A server at `host` and `port`; `log` is the file where it says what it connects to."""

    host: str
    port: int
    log: Path

    @property
    def url(self) -> str:
        """What the option `url` of the proxy is set to."""
        return f"socks5://{self.host}:{self.port}"

    def options(self, **more: str) -> str:
        """The section of the config file."""
        lines = [f'{key} = "{value}"' for key, value in {"url": self.url, **more}.items()]
        return "\n".join(('[plugin."proxy:socks5"]', *lines, ""))


def program(name: str) -> str:
    """Where a server is; a test is skipped where it is not installed, but never in CI."""
    if (found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed, and CI installs it")
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of loopback that nothing listens at now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


@contextmanager
def microsocks(
    folder: Path,
    *options: str,
    names: dict[str, str] | None = None,
    host: str = "127.0.0.1",
    space: Sequence[str] = (),
) -> Iterator[SocksServer]:
    """microsocks with `options`. `names` are host names that it alone can resolve, from a hosts
    file of its own (as root); `space` are the words that start a program on another host."""
    server = SocksServer(host, free_port() if host == "127.0.0.1" else 1080, folder / "socks.log")
    command = [program("microsocks"), "-i", host, "-p", str(server.port), *options]
    if names is not None:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            pytest.skip("a hosts file for one process needs root and unshare")
        hosts = folder / "hosts"
        rows = [
            f"{address} {name}" for name, address in {"localhost": "127.0.0.1", **names}.items()
        ]
        hosts.write_text("\n".join((*rows, "")))
        script = 'mount --bind "$0" /etc/hosts && exec "$@"'
        command = ["unshare", "-m", "sh", "-c", script, str(hosts), *command]
    with _running([*space, *command], server, space):
        yield server


@contextmanager
def dante(folder: Path, forbidden_port: int) -> Iterator[SocksServer]:
    """dante, whose rules forbid one port of loopback; as root."""
    if os.geteuid() != 0:
        pytest.skip("dante needs root")
    server = SocksServer("127.0.0.1", free_port(), folder / "dante.log")
    config = folder / "danted.conf"
    config.write_text(
        f"""logoutput: stderr
internal: 127.0.0.1 port = {server.port}
external: 127.0.0.1
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 127.0.0.0/8 to: 127.0.0.1/32 port = {forbidden_port} }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect }}
"""
    )
    with _running([program("danted"), "-f", str(config), "-p", str(folder / "pid")], server, ()):
        yield server


@contextmanager
def _running(command: list[str], server: SocksServer, space: Sequence[str]) -> Iterator[None]:
    with (
        server.log.open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            _wait(server, process, space)
            yield
        finally:
            os.killpg(process.pid, 15)


def _wait(server: SocksServer, process: subprocess.Popen[bytes], space: Sequence[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    probe = f"import socket; socket.create_connection(('{server.host}', {server.port}), 1)"
    while subprocess.run([*space, "python3", "-c", probe], capture_output=True).returncode:
        assert process.poll() is None, server.log.read_text()
        assert time.monotonic() < deadline, "the SOCKS server does not listen"
        time.sleep(0.05)
