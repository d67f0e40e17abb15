"""`tallow bench`: every driver that loads is timed, one that does not is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tallow_core.cli.commands.bench_tasks import TASKS
from tallow_core.config import calibration
from tallow_core.config.calibration import RECORDS_A_KEY, SealRun, fastest
from tallow_core.registry.kinds import KINDS
from tallow_core.testing.fakes import NonceLedger, recording
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tests.kit.lab import Lab

OPERATIONS = {
    "cipher": ["seal", "open"],
    "kem": ["generate", "encapsulate", "decapsulate"],
    "signature": ["generate", "sign", "verify"],
    "hash": ["hash"],
    "authenticator": ["agree"],
    "compressor": ["pack", "unpack"],
}
LOGINS = {"opaque": ["register", "log in"]}


def test_every_driver_of_every_kind_that_can_be_timed(lab: Lab) -> None:
    place = lab.place()
    installed = lab.run(place, "plugins", "list", "--json").ends(0).named("plugin")
    expected = [
        (plugin["kind"], plugin["name"], operation)
        for plugin in installed
        if plugin["kind"] in TASKS and plugin["state"] == "allowed"
        for operation in (OPERATIONS | LOGINS)[
            plugin["name"] if plugin["name"] in LOGINS else plugin["kind"]
        ]
    ]
    expected.append(("password", "argon2id", "derive"))
    place.configure("[passwords]\nmemory_mib = 8\n")
    timed = lab.run(place, "bench", "--seconds", "0.001", "--json").ends(0).named("bench")
    assert [(row["kind"], row["name"], row["operation"]) for row in timed] == expected
    assert {"aegis-256", "sha3-256", "x25519"} <= {row["name"] for row in timed}
    for row in timed:
        assert 0 < row["seconds"] < 60
        assert row["bytes"] == (
            1 << 20 if row["kind"] in ("cipher", "hash", "compressor") else None
        )


def test_one_kind_for_a_person(lab: Lab) -> None:
    process = lab.run(lab.place(), "bench", "--kind", "hash", "--seconds", "0.001").ends(0)
    lines = [line.split() for line in process.out.text.splitlines()]
    assert [(line[:3], line[4]) for line in lines] == [
        (["hash", name, "hash"], "GB/s") for name in ("blake3", "sha3-256")
    ]
    process = lab.run(lab.place(), "bench", "--kind", "kem", "--seconds", "0.001").ends(0)
    assert {line.split()[4] for line in process.out.text.splitlines()} == {"ms"}


def test_a_driver_that_cannot_be_loaded_is_named_and_passed_over(lab: Lab, tmp_path: Any) -> None:
    (tmp_path / "aeg.py").write_text("raise ImportError('no library here')")
    process = lab.run(
        lab.place(),
        "bench",
        "--kind",
        "cipher",
        "--seconds",
        "0.001",
        "--json",
        env={"PYTHONPATH": str(tmp_path)},
    ).ends(0)
    assert {row["name"] for row in process.named("bench")} == {"aes-256-gcm", "chacha20-poly1305"}
    assert "cipher:aegis-256" in process.err.text


def test_a_blocked_driver_is_not_timed(lab: Lab) -> None:
    place = lab.place()
    place.configure('[plugins]\nblock = ["hash:sha3-256"]\n')
    rows = (
        lab.run(place, "bench", "--kind", "hash", "--seconds", "0.001", "--json")
        .ends(0)
        .named("bench")
    )
    assert {row["name"] for row in rows} == {"blake3"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--kind", "chipher"], 'did you mean "cipher"?'),
        (["--kind", "transport"], "there are cipher, kem"),
        (["--seconds", "0"], "--seconds must be above 0 and at most 60"),
        (["--seconds", "nan"], "--seconds must be"),
        (["--seconds", "3600"], "--seconds must be"),
    ],
)
def test_what_cannot_be_timed(lab: Lab, words: list[str], told: str) -> None:
    assert told in lab.run(lab.place(), "bench", *words).ends(2).err.text


def test_the_table_names_kinds() -> None:
    assert TASKS.keys() <= {kind.name for kind in KINDS}
    assert TASKS.keys() == OPERATIONS.keys()


@dataclass(frozen=True)
class Pair:
    public: bytes
    secret: bytes


class Signs:
    """The interface of a signature driver."""

    calls: list[str]

    @classmethod
    def generate(cls) -> Pair:
        cls.calls.append("generate")
        return Pair(b"public", b"secret")

    @classmethod
    def sign(cls, pair: Pair, message: bytes) -> bytes:
        cls.calls.append("sign")
        return pair.secret + message

    @classmethod
    def verify(cls, public: bytes, message: bytes, signature: bytes) -> None:
        cls.calls.append("verify")
        assert (public, signature) == (b"public", b"secret" + message)


def test_signatures() -> None:
    Signs.calls = []
    tasks = list(TASKS["signature"](Signs))
    assert [task.operation for task in tasks] == OPERATIONS["signature"]
    for task in tasks:
        Signs.calls.clear()
        assert fastest(task.run, 0.0) < 1
        assert set(Signs.calls) == {task.operation}


def test_no_nonce_is_used_twice_and_no_key_beyond_its_limits() -> None:
    ledger = NonceLedger()
    sealing = SealRun(recording(Aes256Gcm, ledger), 64)
    for _ in range(2 * RECORDS_A_KEY + 1):
        sealing()
    assert len(ledger.pairs) == 2 * RECORDS_A_KEY + 1
    assert len({key for key, _ in ledger.pairs}) == 3


@pytest.mark.parametrize(
    ("lengths", "seconds", "best"),
    [([5, 1, 3], 0.0, 1), ([2, 2, 0.5, 0.5], 4.6, 0.5), ([4, 1, 3], 4.5, 1)],
)
def test_the_fastest_run_counts(
    monkeypatch: pytest.MonkeyPatch, lengths: list[float], seconds: float, best: float
) -> None:
    """Runs go on until the time is over, three at least."""
    now = 0.0

    def run() -> None:
        nonlocal now
        now += lengths.pop(0)

    monkeypatch.setattr(calibration, "perf_counter", lambda: now)
    assert fastest(run, seconds) == best
    assert lengths == []
