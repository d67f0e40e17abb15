"""Drivers of other distributions that fail in the middle of a transfer: the person reads whose
fault it is and how to go on, and never of a bug in Tallow or of the peer."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import dedent

import pytest

from tests.kit.lab import MEGABYTE, PROGRAM, Lab
from tests.kit.site import Site

NAME = "tallow-bad"
HEAD = """
from tallow_core.errors import RemoteProtocolError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.hash import Hasher
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.compressors.zstd import Zstd
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.kems.x25519_ml_kem_1024 import X25519MlKem1024
from tallow_plugins.transports.tcp import Tcp

"""
TAIL = """
@hookimpl
def tallow_offer_{kind}():
    return [Bad]
"""
BAD: dict[str, tuple[str, str, str]] = {
    "a hash that raises": (
        "hash",
        "update",
        """
        class Broken(Hasher):
            def update(self, data): raise ValueError("oops")
            def digest(self): return bytes(32)
        class Bad(Blake3):
            name = "bad"
            @classmethod
            def hasher(cls, context): return Broken()
        """,
    ),
    "a digest of a wrong size": (
        "hash",
        "digest",
        """
        class Broken(Hasher):
            def update(self, data): pass
            def digest(self): return bytes(31)
        class Bad(Blake3):
            name = "bad"
            @classmethod
            def hasher(cls, context): return Broken()
        """,
    ),
    "a cipher that blames the peer": (
        "cipher",
        "seal_into",
        """
        class Bad(Aes256Gcm):
            name = "bad"
            def seal_into(self, *given): raise RemoteProtocolError("the peer is bad")
        """,
    ),
    "a cipher that is a coroutine": (
        "cipher",
        "seal_into",
        """
        class Bad(Aes256Gcm):
            name = "bad"
            async def seal_into(self, *given): return 3
        """,
    ),
    "a KEM that raises": (
        "kem",
        "generate",
        """
        class Bad(X25519MlKem1024):
            name = "bad"
            @classmethod
            def generate(cls): raise OSError(5, "oops")
        """,
    ),
    "a compressor that returns nothing": (
        "compressor",
        "pack",
        """
        class Bad(Zstd):
            name = "bad"
            def pack(self, data): return None
        """,
    ),
    "a transport that raises": (
        "transport",
        "listen",
        """
        class Bad(Tcp):
            name = "bad"
            async def listen(self, endpoint, **more): raise TimeoutError("oops")
        """,
    ),
    "a transport that is a plain function": (
        "transport",
        "listen",
        """
        class Bad(Tcp):
            name = "bad"
            def listen(self, endpoint, **more): return None
        """,
    ),
    "a transport that cannot be built": (
        "transport",
        "__init__",
        """
        class Bad(Tcp):
            name = "bad"
            def __init__(self, settings): raise KeyError("oops")
        """,
    ),
}


def bad(site: Site, case: str) -> tuple[str, str]:
    """Install the driver; its kind, and what its sentence names."""
    kind, named, source = BAD[case]
    source = HEAD + dedent(source) + TAIL.format(kind=kind)
    site.add(NAME, f"tallow.{kind}", "bad", "bad_plugin", source)
    return kind, named


@pytest.mark.parametrize("case", BAD)
def test_it_is_named(lab: Lab, tmp_path: Path, case: str) -> None:
    site = Site(tmp_path / "site")
    kind, named = bad(site, case)
    ann, bob = lab.pair()
    for place in (ann, bob):
        place.configure(f'[plugins]\nallow = ["{NAME}"]\n')
    (ann.work / "file").write_bytes(b"much the same" * (MEGABYTE // 13))
    words = (f"--{kind}", "bad")
    sender = lab.start(ann, "send", "--json", "file", *words, env=site.environment)
    ended = [sender]
    if "transport" not in case:
        code = sender.event("code")["code"]
        receiver = lab.receive(bob, code, *words, env=site.environment)
        ended.append(receiver)
        if receiver.wait() == 10 and kind == "kem":
            sender.kill()  # it knows of no guest yet, and waits for one
            ended.remove(sender)
    statuses = {process.wait() for process in ended}
    texts = [process.named("error")[0]["message"] for process in ended]
    assert 10 in statuses
    assert any(f"{kind}:bad of {NAME} 1.5" in text and named in text for text in texts), texts
    for process, text in zip(ended, texts, strict=True):
        assert "bug in Tallow" not in text
        assert "Traceback" not in process.err.text
        if process.wait() == 10:
            assert f'`[plugins] block = ["{kind}:bad"]`' in text


def test_the_traceback_is_shown_where_it_is_asked_for(lab: Lab, tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    bad(site, "a transport that raises")
    ann = lab.place()
    ann.configure(f'[plugins]\nallow = ["{NAME}"]\n')
    (ann.work / "file").touch()
    done = subprocess.run(  # not by the lab, which takes a traceback for a bug
        [*PROGRAM, "send", "file", "--transport", "bad", "-vvv"],
        cwd=ann.work,
        env=ann.environment(site.environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 10
    assert "Traceback" in done.stderr
    assert "TimeoutError: oops" in done.stderr


def test_a_driver_that_cannot_be_built_is_left_out(lab: Lab, tmp_path: Path) -> None:
    """With a warning that names it; the rest goes on."""
    site = Site(tmp_path / "site")
    bad(site, "a transport that cannot be built")
    ann, bob = lab.pair()
    ann.configure(f'[plugins]\nallow = ["{NAME}"]\n')
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file", env=site.environment)
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert sender.err.text.count(f"transport:bad of {NAME} 1.5") == 1


PRINTING = """
import ctypes, os
print("printed at import")
os.write(1, b"written at import\\n")
ctypes.CDLL(None).puts(b"put at import")
ctypes.CDLL(None).fflush(None)
from tallow_core.registry.hookspecs import hookimpl
@hookimpl
def tallow_session_event(event):
    print("printed", event["event"])
    os.write(1, b"written\\n")
"""


@pytest.mark.parametrize("words", [("--json", "--yes"), ("--stdout", "--yes")])
def test_what_a_plugin_prints_is_no_data(lab: Lab, tmp_path: Path, words: tuple[str, ...]) -> None:
    site = Site(tmp_path / "site")
    site.add("tallow-loud", "tallow.plugin", "loud", "loud_plugin", PRINTING)
    ann, bob = lab.pair()
    bob.configure('[plugins]\nallow = ["tallow-loud"]\n')
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file")
    environment = site.environment | {"TALLOW_CODE": sender.code}
    receiver = lab.run(bob, "receive", *words, env=environment).ends(0)
    assert "print" not in receiver.out.text
    assert "writ" not in receiver.out.text
    assert "put" not in receiver.out.text
