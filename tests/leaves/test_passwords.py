"""Argon2id and the memory it needs: the kit's checks, two other implementations, and machines that
are too small."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import argon2
import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography_vectors import open_vector_file

from tallow_core import available_memory as memory
from tallow_core import passwords
from tallow_core.available_memory import available_memory
from tallow_core.config.schema import PasswordSettings
from tallow_core.errors import AuthenticationError, ConfigError, CryptoError
from tallow_core.passwords import Parameters, configured, derive, hash_password, verify_password
from tallow_core.testing.checks import core_checks as core
from tallow_core.testing.vectors import published

CHEAP = Parameters(memory_kib=256, iterations=2, lanes=2)


@pytest.mark.parametrize(
    "check",
    [check for checks in core.CHECKS.values() for check in checks],
    ids=lambda check: check.__name__,
)
def test_the_core_passes_its_own_checks(check: core.Check) -> None:
    check()


@pytest.mark.parametrize(
    ("name", "files", "fields"),
    [
        (
            "hkdf",
            ("rfc-5869-HKDF-SHA256.txt", "hkdf-generated.txt"),
            {"IKM": "secret", "salt": "salt", "info": "info", "OKM": "key"},
        ),
        (
            "argon2id",
            ("argon2id.txt",),
            {
                "pass": "password",
                "salt": "salt",
                "secret": "secret",
                "ad": "associated",
                "output": "key",
            },
        ),
    ],
)
def test_the_kits_vectors_are_the_published_ones(
    name: str, files: tuple[str, ...], fields: dict[str, str]
) -> None:
    """All of them, and none that is not there."""
    lines = [line for file in files for line in _lines(f"KDF/{file}")]
    theirs = {
        (ours, value.strip().lower()) for ours, value in _values(lines, fields) if value.strip()
    }
    vectors = published("core", name)["vectors"]
    assert theirs == {
        (field, vector[field])
        for vector in vectors
        for field in fields.values()
        if vector.get(field)
    }
    assert len(vectors) == sum(line.startswith("COUNT") for line in lines)


def _lines(file: str) -> list[str]:
    with open_vector_file(file, "r") as opened:
        return [line.strip() for line in opened]


def _values(lines: list[str], fields: dict[str, str]) -> list[tuple[str, str]]:
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return [(fields[key.strip()], value) for key, _, value in pairs if key.strip() in fields]


@pytest.mark.parametrize(
    "parameters",
    [
        CHEAP,
        Parameters(8, 1, 1),
        Parameters(1024, 3, 4),
        pytest.param(Parameters(), marks=pytest.mark.slow),
    ],
    ids=Parameters.encode,
)
def test_the_reference_implementation_derives_the_same(parameters: Parameters) -> None:
    costs = (parameters.iterations, parameters.memory_kib, parameters.lanes)
    for length in (4, 32, 100):
        expected = hash_secret_raw(b"password", b"salt-of-16-bytes", *costs, length, Type.ID)
        assert (
            derive(bytearray(b"password"), parameters, memoryview(b"salt-of-16-bytes"), length)
            == expected
        )


def test_other_implementations_read_our_strings() -> None:
    stored = hash_password(b"password", CHEAP)
    assert argon2.PasswordHasher().verify(stored, b"password")
    Argon2id.verify_phc_encoded(b"password", stored)
    with pytest.raises(InvalidKey):
        Argon2id.verify_phc_encoded(b"Password", stored)


def test_we_read_the_strings_of_others() -> None:
    theirs = argon2.PasswordHasher(2, 256, 2, hash_len=24, salt_len=20).hash(b"password")
    assert verify_password(theirs, b"password") == CHEAP
    other = Argon2id(
        salt=bytes(8), length=64, iterations=2, lanes=2, memory_cost=256
    ).derive_phc_encoded(b"password")
    assert verify_password(other, b"password") == CHEAP
    with pytest.raises(AuthenticationError, match="the password is wrong"):
        verify_password(theirs, b"passwore")


def test_the_default_is_what_is_written_when_nothing_is_set() -> None:
    assert configured(PasswordSettings().memory_mib) == Parameters()
    assert configured(64).encode() == "$argon2id$v=19$m=65536,t=3,p=4"


@pytest.mark.parametrize(
    "change",
    [
        ("v=19", "v=16"),
        ("v=19$", ""),
        ("m=256", "m=0256"),
        ("m=256", "m=+256"),
        ("m=256", "m=٢٥٦"),
        ("m=256,t=2", "t=2,m=256"),
        ("p=2$", "p=2,keyid=AAAA$"),
        ("p=2$", "p=2$AAAA$"),
        ("$argon2id", "argon2id"),
    ],
    ids=lambda change: str(change[1]),
)
def test_there_is_one_spelling(change: tuple[str, str]) -> None:
    stored = hash_password(b"password", CHEAP)
    with pytest.raises(CryptoError, match=r"damaged"):
        verify_password(stored.replace(*change), b"password")


def test_padded_and_loose_base64_is_refused() -> None:
    stored = hash_password(b"password", CHEAP)
    for other in (
        stored + "=",
        stored + "\n",
        " " + stored,
        stored[:-1] + "\N{LATIN SMALL LETTER E WITH ACUTE}",
    ):
        with pytest.raises(CryptoError, match=r"damaged"):
            verify_password(other, b"password")


def test_a_hostile_string_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """T-16: what it asks for is compared with the caps before anything is derived."""
    monkeypatch.setattr(passwords, "derive", lambda *_: pytest.fail("derived"))
    tail = "$" + "A" * 22 + "$" + "A" * 43
    for asked in (
        "m=4194305,t=1,p=1",
        "m=64,t=17,p=1",
        "m=1024,t=1,p=17",
        "m=9999999999,t=9999999999,p=9999999999",
        "m=31,t=1,p=4",
    ):
        with pytest.raises(CryptoError, match="is not within what is allowed"):
            verify_password(f"$argon2id$v=19${asked}{tail}", b"")


def small(program: str, limit_mib: int) -> str:
    """What `program` prints in a process that may map `limit_mib` more than it has now."""
    source = f"""
        import resource
        from tallow_core import passwords
        from tallow_core.passwords import Parameters, derive
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
        mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = mapped + ({limit_mib} << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, "-c", textwrap.dedent(source) + textwrap.dedent(program)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc")
FAILS = """
    try:
        derive(b"password", Parameters(), bytes(16), 32)
    except passwords.ConfigError as error:
        print(error.exit_status, error)
"""


@pytest.mark.processes
@linux
def test_a_machine_too_small_gets_a_choice() -> None:
    told = small(FAILS, 150)
    assert told.startswith("3 Argon2id needs 256 MiB of memory for this password and 1")
    assert (
        "MiB are left: close other programs, or lower `[passwords] memory_mib` in the config file"
        in told
    )


@pytest.mark.processes
@linux
def test_an_allocation_that_fails_all_the_same_gets_the_same_choice() -> None:
    told = small("passwords.available_memory = lambda: None\n" + textwrap.dedent(FAILS), 150)
    assert told.startswith(
        "3 Argon2id needs 256 MiB of memory for this password and fewer are left: close other"
        " programs, or lower"
    )


@pytest.mark.processes
@linux
def test_the_lowered_setting_fits() -> None:
    assert (
        small('print(len(derive(b"password", Parameters(64 << 10), bytes(16), 32)))', 150) == "32\n"
    )


def test_a_library_without_argon2id_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm

    def refuse(**_: object) -> None:
        raise UnsupportedAlgorithm("OpenSSL is too old")

    monkeypatch.setattr("cryptography.hazmat.primitives.kdf.argon2.Argon2id", refuse)
    with pytest.raises(ConfigError, match="built without Argon2id"):
        derive(b"", CHEAP, bytes(16), 32)


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


MACHINE = {"proc/meminfo": "MemTotal: 2000 kB\nMemAvailable:    1000 kB\n"}


@pytest.mark.parametrize(
    ("files", "kib"),
    [
        ({}, 1000),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.current": "1\n",
            },
            1000,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.max": "409600",
                "sys/fs/cgroup/a/b/memory.current": "102400",
            },
            300,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/memory.max": "409600",
                "sys/fs/cgroup/a/memory.current": "102400",
            },
            300,
        ),
        (
            {
                "proc/self/cgroup": "0::/../x\n",
                "sys/fs/cgroup/memory.max": "409600",
                "sys/fs/cgroup/memory.current": "102400",
            },
            300,
        ),
        (
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "1024",
                "sys/fs/cgroup/memory.current": "2048",
            },
            0,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/\n4:memory:/a\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "409600",
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "307200",
                "sys/fs/cgroup/memory/a/memory.stat": (
                    "cache 1\ninactive_file 1024\ntotal_inactive_file 102400\n"
                ),
            },
            200,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1",
            },
            1000,
        ),
    ],
    ids=[
        "no-group",
        "v2-unlimited",
        "v2",
        "v2-of-a-parent",
        "v2-seen-from-inside",
        "v2-spent",
        "v1-with-cache",
        "v1-unlimited",
    ],
)
def test_the_least_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], kib: int
) -> None:
    monkeypatch.setattr(memory, "_of_limit", lambda _root: ())
    assert available_memory(system(tmp_path, MACHINE | files)) == kib * 1024


def test_where_nothing_tells_the_answer_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_of_limit", lambda _root: ())
    assert available_memory(tmp_path) is None


@linux
def test_this_machine_tells() -> None:
    left = available_memory()
    assert left is not None
    assert 1 << 20 < left < 1 << 50
