"""What a code leaves behind, and who can forge its way in on this machine: T-10, T-11, T-15, T-32,
T-35, T-36."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import signal
import stat
from contextlib import AsyncExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

from tallow_core.errors import AuthenticationError
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.handshake.code import parse_code
from tests.kit.hostile_peers import (
    CODE,
    WRONG,
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    assert_harmless,
    attack,
    dial,
    eventually,
    listening,
    receiver,
    sender,
    tallow,
    tree,
    until_proof,
)
from tests.kit.machines import DEFAULT

WORDS = [b"stamp", b"daybreak", b"kindred"]


def assert_no_trace(data: bytes) -> None:
    """Neither the words nor a plain hash of them, or of the phrase, is in `data`."""
    for word in WORDS:
        assert word not in data.lower(), word
    for text in [CODE.encode(), CODE.partition("-")[2].encode(), *WORDS]:
        for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
            digest = hashlib.new(name, text).digest()
            assert digest[:8] not in data
            assert digest[:8].hex().encode() not in data.lower()


def left_behind(home: Home, *without: str) -> bytes:
    """Names and contents of all files of a home, but for what was sent or received."""
    found = bytearray()
    for path in home.root.rglob("*"):
        if not any(part in without for part in path.relative_to(home.root).parts):
            found += os.fsencode(path) + (path.read_bytes() if path.is_file() else b"")
    return bytes(found)


def processes() -> list[int]:
    """All processes, as far as they can be seen."""
    return [
        int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()
    ]


def shown_by(pid: int) -> bytes:
    """The command line and the environment of a process and its threads' names."""
    found = b""
    for name in ("cmdline", "environ", "comm"):
        try:
            found += Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue
    return found


def children_of(pid: int) -> list[int]:
    """Direct children."""
    found = []
    for each in processes():
        try:
            if f"\nPPid:\t{pid}\n" in Path(f"/proc/{each}/status").read_text():
                found.append(each)
        except OSError:
            continue
    return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.environment()
    (home.root / "file").write_bytes(b"content")
    return home


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("typed", [False, True])
def test_t10_the_code_is_in_no_command_line_environment_log_or_file(
    typed: bool, home: Home, tmp_path: Path
) -> None:
    friend = Home(tmp_path / "friend")

    async def scenario() -> None:
        async with sender(home, "file", "-vvv") as source:
            port = await source.port()
            assert_no_trace(shown_by(source.process.pid))
            where = ("--json", "--at", f"127.0.0.1:{port}", "-o", "out", "-vvv")
            if typed:
                target_of = tallow(friend, "receive", *where, stdin=CODE.encode() + b"\ny\n")
            else:
                target_of = tallow(friend, "receive", "--yes", *where, env={"TALLOW_CODE": CODE})
            async with target_of as target:
                await target.event("suite")
                for program in (source, target):
                    for pid in [program.process.pid, *children_of(program.process.pid)]:
                        assert_no_trace(shown_by(pid))
                assert await target.wait() == 0, target.said()
                assert_no_trace(bytes(target.out + target.err))
            assert await source.wait() == 0, source.said()
            assert_no_trace(bytes(source.err))
            without = [line for line in bytes(source.out).splitlines() if b'"code"' not in line]
            assert_no_trace(b"\n".join(without))

    attack(scenario())
    assert_no_trace(left_behind(home, "file"))
    assert_no_trace(left_behind(friend, "out"))


def test_t10_a_code_in_the_argument_list_draws_one_warning(home: Home) -> None:
    async def scenario() -> None:
        async with tallow(home, "receive", CODE, "--json", "--at", "127.0.0.1:1") as program:
            assert await program.wait() == 5
            assert program.err.count(b"other users of this machine can see") <= 1
            if not any(word in Path("/proc/mounts").read_text() for word in ("hidepid",)):
                assert program.err.count(b"other users of this machine can see") == 1

    attack(scenario())


@pytest.mark.parametrize(
    "secret", ["short", "password", "stamp-daybreak", "a" * 13, "stamp daybreak", ""]
)
def test_t11_a_weak_secret_is_refused_and_not_repeated(secret: str, home: Home) -> None:
    async def scenario() -> None:
        async with tallow(home, "send", "file", "--json", "--code", f"4821-{secret}") as program:
            assert await program.wait() == 2, program.said()
            assert not secret or secret.encode() not in program.out + program.err

    attack(scenario())


def test_t15_random_is_imported_nowhere() -> None:
    for package in ("tallow_core", "tallow_plugins"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        sources = [
            path for place in spec.submodule_search_locations for path in Path(place).rglob("*.py")
        ]
        assert len(sources) > 10
        for path in sources:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not {name.partition(".")[0] for name in names} & {"random", "uuid"}, path


# -- T-36 ----------------------------------------------------------------------------------------


def test_t36_a_local_record_has_exactly_the_fields_it_may_have(home: Home) -> None:
    async def scenario() -> None:
        async with tallow(
            home, "send", "file", "--json", "--transport", "tcp", env={"TALLOW_CODE": CODE}
        ) as program:
            event = await program.event("code")
            folder = home.runtime / "tallow" / "local"
            (path,) = folder.iterdir()
            record = json.loads(path.read_text())
            assert set(record) == {"v", "nameplate", "pid", "started", "endpoints"}
            assert (record["v"], record["nameplate"], record["pid"]) == (
                2,
                "4821",
                program.process.pid,
            )
            assert event["listen"] == record["endpoints"]
            assert record["endpoints"][0].startswith("tcp://127.0.0.1:")
            assert len(path.stem) == 32
            assert set(path.stem) <= set("0123456789abcdef")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert_no_trace(os.fsencode(path) + path.read_bytes())
            program.signal(signal.SIGTERM)
            assert await program.wait() == 130
            assert tree(folder) == []

    attack(scenario())


def test_t11_t31_t36_what_a_relay_and_a_listener_see_up_to_share_tests_no_guess(home: Home) -> None:
    """The relay plays the guest: with the right words, with wrong ones, and as somebody who stops.
    It sees the same three times."""
    seen = bytearray()
    shapes: list[list[tuple[int, int]]] = []

    async def relay(line: Line) -> None:
        first = await line.frame()
        seen.extend(first.encoded)
        await line.put_frame(FrameType.RELAY_OPENED, b"\x044821" + bytes(32))
        await line.closed()

    async def scenario() -> None:
        async with (
            listening(relay) as port,
            sender(home, "file", "--relay", f"tcp://127.0.0.1:{port}") as program,
        ):
            direct = await program.port()
            for code in (CODE, WRONG, "4821-entirely other secret", CODE):
                line = await dial(direct)
                await until_proof(line, parse_code(code))
                seen.extend(line.got)
                shapes.append(_shape(bytes(line.got)))
                line.abort()
            line = await dial(direct)
            await until_proof(line, parse_code(CODE))
            # Nothing more comes without a proof, but the alert that ends it after ten seconds.
            assert await line.frame() == Frame(FrameType.ALERT, b"\x06")
            assert tree(home.state / "guesses") == []

    attack(scenario())
    assert_no_trace(bytes(seen))
    assert len(set(map(tuple, shapes))) == 1
    hello, share = shapes[0]
    kem = next(iter(DEFAULT["kem"].values()))
    assert hello[0] == FrameType.HELLO
    # A KEM ciphertext and a uniformly random curve point: no MAC, no hash, nothing that a guess
    # could be compared with.
    assert share == (FrameType.SHARE, kem.ciphertext_size + 32)


def _shape(data: bytes) -> list[tuple[int, int]]:
    shape, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 5], "big")
        shape.append((data[at], size))
        at += 5 + size
    return shape


# -- T-35 ----------------------------------------------------------------------------------------


def _started() -> int:
    return int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])


def forge(home: Home, ports: list[int], first: int = 0) -> None:
    """Records of a process that lives: this one."""
    folder = home.runtime / "tallow" / "local"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (home.runtime / "tallow", folder):
        path.chmod(0o700)
    for at, port in enumerate(ports):
        record = {
            "v": 2,
            "nameplate": "4821",
            "pid": os.getpid(),
            "started": _started(),
            "endpoints": [f"tcp://127.0.0.1:{port}"],
        }
        path = folder / f"{first + at:032x}.json"
        path.write_text(json.dumps(record))
        path.chmod(0o600)


class Impostor:
    """Takes one proof on each connection, without knowing the code."""

    def __init__(self) -> None:
        self.proofs = 0

    async def serve(self, line: Line) -> None:
        """One connection."""

        async def never(peer: Peer) -> None:
            raise AssertionError("a session with an impostor")

        with pytest.raises(AuthenticationError):
            await HostileHost(never, code=WRONG).serve(line)
        self.proofs += 1


async def _impostors(stack: AsyncExitStack, impostor: Impostor, count: int) -> list[int]:
    return [await stack.enter_async_context(listening(impostor.serve)) for _ in range(count)]


async def _receive(home: Home, *words: str) -> Program:
    env = {"TALLOW_CODE": CODE}
    async with tallow(home, "receive", "--yes", "--json", "-o", "out", *words, env=env) as program:
        await program.wait()
        assert_harmless(program)
        return program


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_t35_forged_records_get_ten_proofs_and_no_more(home: Home) -> None:
    impostor = Impostor()

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            forge(home, await _impostors(stack, impostor, 14))
            program = await _receive(home)
            assert program.process.returncode == 4, program.said()
            assert program.events()[-1]["name"] == "proofs-spent"
            assert "10" in program.events()[-1]["message"]

    attack(scenario())
    assert impostor.proofs == 10


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_t32_the_guests_ten_proofs_count_over_restarts_and_paths(home: Home) -> None:
    impostor = Impostor()

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            forge(home, await _impostors(stack, impostor, 6))
            first = await _receive(home, "--wait", "2")
            assert first.process.returncode in (4, 5, 7), first.said()
            assert impostor.proofs == 6
            (at,) = await _impostors(stack, impostor, 1)
            for _ in range(3):
                assert (await _receive(home, "--at", f"127.0.0.1:{at}")).process.returncode in (
                    4,
                    7,
                )
            assert impostor.proofs == 9
            assert (await _receive(home, "--wait", "2")).process.returncode == 4
            assert impostor.proofs == 10
            last = await _receive(home, "--at", f"127.0.0.1:{at}")
            assert last.process.returncode == 4
            assert last.events()[-1]["name"] == "proofs-spent"

    attack(scenario())
    assert impostor.proofs == 10


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("answer", ["garbage", "an alert", "closes", "a huge frame", "an impostor"])
def test_t35_the_true_sender_is_found_among_forged_records(
    answer: str, home: Home, tmp_path: Path
) -> None:
    async def serve(line: Line) -> None:
        if answer == "an impostor":
            await Impostor().serve(line)
            return
        await line.frame()
        said = {
            "garbage": os.urandom(300),
            "an alert": Frame(FrameType.ALERT, b"\x01").encoded,
            "a huge frame": b"\x02" + b"\xff" * 4 + bytes(1 << 16),
        }
        await line.put(said.get(answer, b""))

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            forge(home, [await stack.enter_async_context(listening(serve)) for _ in range(4)])
            env = {"TALLOW_CODE": CODE}
            source = await stack.enter_async_context(
                tallow(home, "send", "file", "--json", "--transport", "tcp", env=env)
            )
            await source.event("code")
            program = await _receive(home)
            assert program.process.returncode == 0, program.said()
            assert await source.wait() == 0

    attack(scenario())
    assert (home.root / "out" / "file").read_bytes() == b"content"


def test_t35_records_that_point_elsewhere_or_are_not_private_are_passed_over(home: Home) -> None:
    dialled = []

    async def serve(line: Line) -> None:
        dialled.append(1)

    async def scenario() -> None:
        async with listening(serve) as port:
            forge(home, [port] * 4)
            folder = home.runtime / "tallow" / "local"
            paths = sorted(folder.iterdir())
            paths[0].chmod(0o644)
            paths[1].write_text(paths[1].read_text().replace("127.0.0.1", "192.0.2.1"))
            moved = home.root / "elsewhere.json"
            paths[2].rename(moved)
            paths[2].symlink_to(moved)
            os.link(paths[3], folder / f"{99:032x}.json")
            program = await _receive(home, "--wait", "1.5")
            assert program.process.returncode == 5, program.said()

    attack(scenario())
    assert dialled == []


def test_the_runtime_directory_of_somebody_else_is_not_used(home: Home) -> None:
    (home.runtime / "tallow").mkdir(mode=0o755)
    (home.runtime / "tallow").chmod(0o755)

    async def scenario() -> None:
        async with tallow(home, "send", "file", "--json", env={"TALLOW_CODE": CODE}) as program:
            await eventually(lambda: bool(program.events()), "an event")
            assert await program.wait() == 3, program.said()
        (home.runtime / "tallow").rmdir()
        (home.runtime / "tallow").symlink_to(home.root)
        async with tallow(home, "send", "file", "--json", env={"TALLOW_CODE": CODE}) as program:
            assert await program.wait() == 3, program.said()

    attack(scenario())


def test_t11_a_wrong_code_says_so_and_names_no_word(home: Home, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            sender(home, "file") as source,
            receiver(Home(tmp_path / "friend"), await source.port(), code=WRONG) as target,
        ):
            assert await target.wait() == 4
            assert b"kindling" not in target.out + target.err

    attack(scenario())
