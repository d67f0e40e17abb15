"""`python -m benchmarks.transfer` as it is run: tiny sizes, one or two cases."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import socks
from benchmarks.processes import Child, Failed
from tests.kit.checkout import ROOT

COMMAND = [sys.executable, "-m", "benchmarks.transfer"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.processes
def test_one_case_is_measured_beside_the_plain_copy(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = run("--rounds", "2", "--size", "1", "--only", "file/tcp", "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(None, 1)[0] for line in done.stdout.splitlines() if line[:1].islower()]
    assert [row for row in rows if row in ("plain", "tcp", "tls")] == ["plain", "tcp"]
    assert "round 2 of 2" in done.stdout
    (group,) = json.loads(report.read_text())["groups"]
    plain, tcp = group["cases"]
    assert (plain["name"], tcp["name"]) == ("plain", "tcp")
    assert len(tcp["samples"]) == 2
    assert tcp["aims"].keys() == {"rate", "cpu"}
    assert all(
        cost["cpu"] > 0 and cost["peak"] > 0
        for sample in tcp["samples"]
        for cost in sample["costs"].values()
    )
    assert len(group["loads"]) == 2


@pytest.mark.processes
@pytest.mark.skipif(bool(socks.missing()), reason=socks.missing() or "-")
def test_a_proxy_is_measured_beside_the_same_path_without_it(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ("--rounds", "1", "--size", "1", "--only", "file/tcp-socks5", "--json", str(report))
    done = run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    (group,) = json.loads(report.read_text())["groups"]
    assert [case["name"] for case in group["cases"]] == ["plain", "tcp", "tcp-socks5"]
    proxied = group["cases"][2]
    assert proxied["aims"]["rate"]["aim"] == ">=0.95 of tcp"
    assert proxied["aims"]["rate"]["ratio"]["median"] > 0
    assert proxied["samples"][0]["costs"].keys() == {"sender", "receiver", "relay"}


def test_a_proxy_that_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "microsocks" in socks.missing()


@pytest.mark.processes
def test_streams_and_starts(tmp_path: Path) -> None:
    done = run(
        "--rounds",
        "1",
        "--stream-size",
        "1",
        "--empty",
        "3",
        "--only",
        "memory/stream-1-*",
        "--only",
        "start/version",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stream-1-MiB" in done.stdout
    assert "x python-c-pass" in done.stdout


@pytest.mark.processes
def test_an_unknown_case_is_said() -> None:
    done = run("--only", "nothing")
    assert done.returncode == 2
    assert "there are file, tree" in done.stderr


@pytest.mark.processes
def test_a_peer_that_is_not_there_is_printed_as_missing(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path)}
    words = [
        *COMMAND,
        "--rounds",
        "1",
        "--size",
        "1",
        "--only",
        "file/croc",
        "--peers",
        str(tmp_path),
    ]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "missing: croc not installed" in done.stdout


@pytest.mark.processes
def test_when_it_is_told_to_end_nothing_is_left() -> None:
    place = Path("/dev/shm")  # noqa: S108
    words = [*COMMAND, "--rounds", "99", "--size", "1", "--only", "file/tcp"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        next(line for line in running.stdout if "round 2" in line)
        mine = children(running.pid)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        assert running.returncode == 128 + signal.SIGTERM
    assert not [pid for pid in mine if Path(f"/proc/{pid}").exists()]
    if place.is_dir():
        assert not [
            folder for folder in place.glob("tallow-benchmark-*") if belongs(folder, running.pid)
        ]


def children(pid: int) -> list[int]:
    found: list[int] = []
    deadline = time.monotonic() + 30
    while not found and time.monotonic() < deadline:
        found = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found


def belongs(folder: Path, pid: int) -> bool:
    return folder.name.startswith(f"tallow-benchmark-{pid}-")


@pytest.mark.processes
@pytest.mark.timeout(30)
def test_a_child_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    with Child(
        ("sh", "-c", "sleep 600 & echo pid $!; wait"), tmp_path / "work" / "a", limit=1.0
    ) as child:
        sleeping = int(child.line(r"pid (\d+)").group(1))
        with pytest.raises(Failed, match="ended without"):
            child.event("done")
    assert gone(sleeping)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False
