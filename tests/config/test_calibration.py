"""Calibration: measured once a machine, remembered for this user alone, and never in the way."""

from __future__ import annotations

import math
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tallow_core.config import calibration
from tallow_core.config.calibration import FOLDER, RECORD, speeds
from tallow_core.spi.cipher import Cipher
from tallow_core.types import ReadBuffer, WriteBuffer
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.hashes.sha3_256 import Sha3256
from tallow_plugins.kems.ml_kem_1024 import MlKem1024
from tallow_plugins.kems.x25519 import X25519
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024

DRIVERS: tuple[type[Cipher], ...] = (Aes256Gcm, ChaCha20Poly1305)
FILE = Path(FOLDER, "cipher")


def cipher_speeds(drivers: Sequence[type[Cipher]], state: Path) -> dict[str, float]:
    return speeds("cipher", drivers, state)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "made" / "state"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the drivers that were really timed, in order."""
    names: list[str] = []
    real = calibration._measured

    def record(kind: str, driver: type[Cipher]) -> float:
        names.append(driver.name)
        return real(kind, driver)

    monkeypatch.setattr(calibration, "_measured", record)
    return names


class Slow(Aes256Gcm):
    name = "slow"

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        time.sleep(0.005)
        return super().seal_into(nonce, aad, plaintext, out)


class Broken(Aes256Gcm):
    name = "broken"

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        raise RuntimeError("broken")


@pytest.mark.timing
def test_seconds_for_a_mebibyte(state: Path) -> None:
    seconds = cipher_speeds((*DRIVERS, Slow, Broken), state)
    assert list(seconds) == ["aes-256-gcm", "chacha20-poly1305", "slow", "broken"]
    assert seconds["slow"] >= 0.005 * (1 << 20) / RECORD > 10 * seconds["aes-256-gcm"]
    assert seconds["broken"] == math.inf


def test_it_is_remembered(state: Path, measured: list[str]) -> None:
    first = cipher_speeds((*DRIVERS, Broken), state)
    assert cipher_speeds((*DRIVERS, Broken), state) == first
    assert measured == ["aes-256-gcm", "chacha20-poly1305", "broken"]
    assert [path.relative_to(state) for path in state.rglob("*") if path.is_file()] == [FILE]


@pytest.mark.timing
def test_reading_costs_less_than_measuring(state: Path) -> None:
    cipher_speeds(DRIVERS, state)
    best = math.inf
    for _ in range(20):
        begin = time.perf_counter()
        cipher_speeds(DRIVERS, state)
        best = min(best, time.perf_counter() - begin)
    assert best < 0.001


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_nobody_else_reads_it(state: Path) -> None:
    cipher_speeds(DRIVERS, state)
    assert stat.S_IMODE((state / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_it_names_no_machine_and_no_user(state: Path) -> None:
    cipher_speeds(DRIVERS, state)
    head, *lines = (state / FILE).read_text("ascii").splitlines()
    assert [line.split(" ")[0] for line in lines] == [driver.name for driver in DRIVERS]
    assert len(head.split(" ")[-1]) == 64


def good(state: Path) -> list[str]:
    return (state / FILE).read_text("ascii").splitlines()


def damages(lines: list[str]) -> dict[str, bytes]:
    head, one, other = lines
    name = one.split(" ")[0]
    texts = {
        "empty": "",
        "no line": "\n",
        "head only": head,
        "a line missing": f"{head}\n{one}\n",
        "cut": "\n".join(lines)[:-30],
        "a negative time": f"{head}\n{name} -1.0\n{other}\n",
        "no time at all": f"{head}\n{name} nan\n{other}\n",
        "zero": f"{head}\n{name} 0.0\n{other}\n",
        "a word": f"{head}\n{name} fast\n{other}\n",
        "three columns": f"{head}\n{one} 1\n{other}\n",
        "another driver": f"{head}\nother 1.0\n{other}\n",
        "one too many": f"{head}\n{one}\n{other}\nother 1.0\n",
        "another fingerprint": f"{head[:-1]}{'0' if head[-1] != '0' else '1'}\n{one}\n{other}\n",
        "another format": f"x{head}\n{one}\n{other}\n",
    }
    return {what: text.encode() for what, text in texts.items()} | {
        "no text": b"\xff" * 100,
        "endless": b"\n".join([b"x"] * 100_000),
    }


def test_damaged_or_of_another_machine_is_measured_again(state: Path, measured: list[str]) -> None:
    cipher_speeds(DRIVERS, state)
    for what, content in damages(good(state)).items():
        (state / FILE).write_bytes(content)
        measured.clear()
        assert cipher_speeds(DRIVERS, state).keys() == {"aes-256-gcm", "chacha20-poly1305"}, what
        assert measured == ["aes-256-gcm", "chacha20-poly1305"], what
        assert len(good(state)) == 3, what


def test_what_changes_the_speed_changes_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = {calibration._fingerprint(DRIVERS)}

    def differs(drivers: Sequence[type[Cipher]] = DRIVERS) -> bool:
        before = len(seen)
        seen.add(calibration._fingerprint(drivers))
        return len(seen) > before

    assert not differs(), "it changes by itself"
    assert differs((Aes256Gcm,)), "fewer drivers"
    assert differs((Aes256Gcm, Slow)), "another driver"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "4.0")
        assert differs(), "another Python"
    with monkeypatch.context() as patch:
        patch.setattr(calibration, "_machine", lambda: iter(("another processor",)))
        assert differs(), "another machine"
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(sys, "path", [str(packages), *sys.path])
    assert differs(), "another folder of libraries"
    (packages / "cryptography-99.dist-info").mkdir()
    os.utime(packages, ns=(1, 1))
    assert differs(), "a library installed"
    module = tmp_path / "driver.py"
    module.touch()
    monkeypatch.setattr(sys.modules[Aes256Gcm.__module__], "__file__", str(module))
    assert differs(), "another version of the driver"


def test_the_processor_is_in_it() -> None:
    parts = list(calibration._machine())
    assert sys.platform in parts
    if Path("/proc/cpuinfo").exists():
        assert any(part.startswith(("flags", "Features", "CPU ", "model")) for part in parts)
        assert not any("MHz" in part for part in parts)


@pytest.mark.parametrize("what", ["a file", "a link to nowhere", "a folder in place of the file"])
def test_a_state_directory_that_cannot_be_used(tmp_path: Path, what: str) -> None:
    state = tmp_path / "state"
    if what == "a file":
        state.touch()
    elif what == "a link to nowhere":
        state.symlink_to(tmp_path / "nowhere")
    else:
        (state / FILE).mkdir(parents=True)
    assert cipher_speeds(DRIVERS, state).keys() == {"aes-256-gcm", "chacha20-poly1305"}
    assert not list(tmp_path.rglob(f"{FILE.name}.*"))


READ_ONLY = """
import os, sys
from pathlib import Path
from tallow_core.config.calibration import speeds
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
if os.getuid() == 0:
    os.setuid(65534)
state = Path(sys.argv[1])
assert os.access(state, os.R_OK | os.X_OK) and not os.access(state, os.W_OK)
print(*speeds("cipher", (Aes256Gcm,), state))
"""


@pytest.mark.processes
@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_read_only_state_directory() -> None:
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # not tmp_path: root would have to open all of its parents
        state = Path(folder, "state")
        state.mkdir()
        if os.getuid() == 0:
            os.chmod(folder, 0o755)  # noqa: S103 - another user has to come through
            os.chown(state, 65534, 65534)
        state.chmod(0o500)
        run = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(state)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (run.returncode, run.stdout.strip()) == (0, "aes-256-gcm"), run.stderr
        assert list(state.iterdir()) == []


TOGETHER = """
import sys, time
from pathlib import Path
from tallow_core.config.calibration import speeds
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.ciphers.chacha20_poly1305 import ChaCha20Poly1305
state = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(20):
    found = speeds("cipher", (Aes256Gcm, ChaCha20Poly1305), state)
    assert found.keys() == {"aes-256-gcm", "chacha20-poly1305"}, found
    assert all(0 < seconds < 60 for seconds in found.values()), found
    (state / "speeds" / "cipher").unlink(missing_ok=True)
speeds("cipher", (Aes256Gcm, ChaCha20Poly1305), state)
"""


@pytest.mark.processes
def test_two_processes_at_once(state: Path) -> None:
    """Each measures, writes, reads and removes; neither ever sees half a file."""
    command = [sys.executable, "-c", TOGETHER, str(state)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert [path.relative_to(state) for path in state.rglob("*") if path.is_file()] == [FILE]
    assert len(good(state)) == 3


def test_hashes_and_kems_are_timed_too(state: Path) -> None:
    """For the profile that asks for the fastest."""
    for kind, drivers in (
        ("hash", (Blake3, Sha3256)),
        ("kem", (X25519, MlKem1024, X25519MlKem1024)),
    ):
        found = speeds(kind, drivers, state)
        assert list(found) == [driver.name for driver in drivers]
        assert all(0 < seconds < 60 for seconds in found.values())
    assert found["x25519-ml-kem-1024"] > found["ml-kem-1024"], "two of them cost more than one"
