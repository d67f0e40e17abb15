"""T-26: what `[policy] profile = "paranoid"` does, seen at the bytes between real processes.

Both ends reach a relay through listeners of the test that show a certificate of their own: it is
the one that the ends pin, so the test reads what travels inside TLS. `Between` stands on the
receiver's side, where all frames and records of the session pass.
"""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tallow_core.app.compose import compose
from tallow_core.config.schema import PolicySettings
from tallow_core.errors import AuthenticationError, RemoteProtocolError
from tallow_core.events import SafetyShown
from tallow_core.protocol.lanes.record import LENGTH, RecordType
from tallow_core.registry.loader import PluginLoader
from tallow_core.session.session import Session
from tallow_core.testing.fakes import FakeClock
from tallow_core.types import NetworkPath, Role
from tallow_plugins.transports._certificate import fresh_identity, pin_of_identity, server_context
from tests.kit.hostile_peers import (
    Between,
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    Tap,
    assert_harmless,
    attack,
    dial,
    eventually,
    listening,
    prove,
    relay_server,
    tallow,
    tree,
)
from tests.kit.in_process import Silent, Sink, context_of
from tests.kit.machines import established

PARANOID = '[policy]\nprofile = "paranoid"\n'
CODE = "4821-stamp-daybreak-kindred-velvet-tulip"
CONTENT = bytes(range(256)) * (5 << 11)
"""2.5 MiB: three records, the last of which is half empty."""
LENGTHS = {4 + 256, 4 + 4096, 4 + 65536, 4 + (1 << 20) + 64}
CONTROL = LENGTHS - {4 + (1 << 20) + 64}


def identity() -> tuple[ssl.SSLContext, str]:
    """A listener's TLS, and the end of the URL that pins it."""
    pem = fresh_identity()
    return server_context(pem, "the test's"), f"#sha256={pin_of_identity(pem, 'the test')}"


@dataclass
class Way:
    """How both ends reach the relay, what was seen on the receiver's side, and the port of the
    relay without TLS."""

    sending: str
    receiving: str
    between: Between
    relay: int

    def sealed(self, to: str, connection: int = 0) -> list[int]:
        """Lengths of the records that went `to` host or guest on a connection: 0 has the control
        lane, 1 the data lane."""
        return [
            length for which, at, length in self.between.records if (which, at) == (to, connection)
        ]


@asynccontextmanager
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    """A relay, and a listener of the test before it for each end."""
    tls, pin = identity()
    async with relay_server(Home(tmp_path / "relay")) as (_, port):
        between = Between(port)
        async with listening(Tap(port).serve, tls) as one, listening(between.serve, tls) as other:
            yield Way(f"tls://127.0.0.1:{one}{pin}", f"tls://127.0.0.1:{other}{pin}", between, port)


def homes(tmp_path: Path, *, ann: str = PARANOID, bob: str = PARANOID) -> tuple[Home, Home]:
    """A sender's and a receiver's home, with these config files; the sender has a file."""
    ours, theirs = Home(tmp_path / "ours"), Home(tmp_path / "theirs")
    for home, text in ((ours, ann), (theirs, bob)):
        home.environment()
        home.configure(text)
    (ours.root / "file").write_bytes(CONTENT)
    return ours, theirs


@asynccontextmanager
async def both(
    path: Way, ours: Home, theirs: Home, *words: str
) -> AsyncIterator[tuple[Program, Program]]:
    """Sender and receiver, past the handshake."""
    env = {"TALLOW_CODE": CODE}
    sending, receiving = (
        ("--json", *words, "--relay", path.sending),
        ("--json", *words, "--relay", path.receiving),
    )
    async with tallow(ours, "send", "file", *sending, env=env, typing=True) as source:
        await source.event("code")
        async with tallow(
            theirs, "receive", "--yes", "-o", "out", *receiving, env=env, typing=True
        ) as target:
            await source.event("suite")
            await target.event("suite")
            yield source, target


async def said(program: Program) -> str:
    """The number that an end tells its person to read out."""
    number = (await program.event("safety"))["say"]
    assert re.fullmatch(r"[0-9]{5} [0-9]{5} [0-9]{5}", number)
    return str(number)


def listens(process: int) -> bool:
    """Whether the process has a listening TCP socket, of either version of IP."""
    sockets = {
        link.readlink().name for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()
    }
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{process}/net/{name}").read_text("ascii").splitlines()[1:]
    ]
    return any(row[3] == "0A" and f"socket:[{row[9]}]" in sockets for row in rows)


# -- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["both", "sender", "receiver"])
def test_t26_every_record_has_one_of_few_lengths(who: str, tmp_path: Path) -> None:
    """One end asks, and both pad; each end whose policy asks has the number typed in."""
    ours, theirs = homes(
        tmp_path, ann="" if who == "receiver" else PARANOID, bob="" if who == "sender" else PARANOID
    )

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs) as (source, target):
            number_a, number_b = await said(source), await said(target)
            if who != "receiver":
                source.type(f"{number_b}\n")
            if who != "sender":
                target.type(f"{number_a.replace(' ', '-')}\n")
            assert await target.wait() == 0, target.said()
            assert await source.wait() == 0, source.said()
            assert [(await each.event("safety"))["asked"] for each in (source, target)] == [
                who != "receiver",
                who != "sender",
            ]
            assert (await target.event("peer"))["path"] == "relay"
            assert {*path.sealed("host"), *path.sealed("guest")} <= CONTROL
            assert path.sealed("guest", 1) == [4 + (1 << 20) + 64] * 3
            assert path.sealed("host", 1) == [4 + 256]
            assert CONTENT[:64] not in path.between.seen

    attack(scenario())
    assert (theirs.root / "out" / "file").read_bytes() == CONTENT


def test_t26_without_the_profile_records_are_as_long_as_they_are(tmp_path: Path) -> None:
    """What the test before sees comes from padding."""
    ours, theirs = homes(tmp_path, ann="", bob="")

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs) as (source, target):
            assert await target.wait() == 0, target.said()
            assert await source.wait() == 0, source.said()
            assert not any(
                event["event"] == "safety"
                for program in (source, target)
                for event in program.events()
            )
            assert not {*path.sealed("host"), *path.sealed("guest")} & LENGTHS

    attack(scenario())


def test_t26_fresh_keys_under_padding(tmp_path: Path) -> None:
    """Rekey and Epoch records are padded as others are, and everything arrives."""
    text = PARANOID + "[session]\nrekey_bytes = 2097152\n"
    ours, theirs = homes(tmp_path, ann=text, bob=text)
    (ours.root / "file").write_bytes(CONTENT * 20)

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs, "-vv") as (source, target):
            source.type(f"{await said(target)}\n")
            target.type(f"{await said(source)}\n")
            assert await target.wait() == 0, target.said()
            assert await source.wait() == 0, source.said()
            assert b"fresh keys from a new KEM run (number 1)" in source.err
            assert {*path.sealed("host"), *path.sealed("guest")} <= CONTROL
            assert set(path.sealed("guest", 1)) == {4 + 256, 4 + (1 << 20) + 64}
            assert set(path.sealed("host", 1)) == {4 + 256}

    attack(scenario())
    assert (theirs.root / "out" / "file").read_bytes() == CONTENT * 20


@pytest.mark.parametrize(
    ("profile", "seconds", "size"), [("paranoid", 600.0, 16 << 30), ("default", 3600.0, 256 << 30)]
)
def test_t26_when_fresh_keys_are_due(
    profile: Any, seconds: float, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's Rekey goes out when ten minutes or 16 GiB are over, and not before."""
    settings = replace(context_of(tmp_path).settings, policy=PolicySettings(profile=profile))
    context = compose(settings, Silent())
    clock = FakeClock(1000.0)
    monkeypatch.setattr("tallow_core.session.rekey.time.monotonic", clock)

    async def sent(later: float, moved: int) -> int:
        sink: Any = Sink()
        host, _ = established()
        session = Session(context, Role.HOST, host, sink, NetworkPath("relay", "test", "tls"))
        clock.advance(later)
        session.channel.lane.opener.total += moved
        await session.key_renewal.if_due()
        return len(sink.sent)

    async def scenario() -> None:
        assert await sent(seconds - 1, size - 1) == 0
        assert await sent(seconds, 0) > 0
        assert await sent(0, size) > 0

    attack(scenario())


def test_t26_a_guest_asks_once_for_each_fresh_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its own limit is reached, and not again for a while; the host that made the last one a
    moment ago lets it wait."""
    context = context_of(tmp_path)
    clock = FakeClock(1000.0)
    monkeypatch.setattr("tallow_core.session.rekey.time.monotonic", clock)

    async def scenario() -> None:
        host, guest = established()
        sinks: list[Any] = [Sink(), Sink()]
        ends = [
            Session(context, role, end, sink, NetworkPath("relay", "test", "tls"))
            for role, end, sink in zip((Role.HOST, Role.GUEST), (host, guest), sinks, strict=True)
        ]
        clock.advance(3600.0)
        for _ in range(3):
            await ends[1].key_renewal.if_due()
        assert len(sinks[1].sent) == LENGTH.size + 1 + guest.cipher.tag_size, (
            "one record with nothing but its type"
        )
        ends[0].key_renewal._at = clock()
        await ends[0].channel.dispatch(RecordType.REKEY_WANTED, b"")
        assert not sinks[0].sent
        clock.advance(1.0)
        await ends[0].channel.dispatch(RecordType.REKEY_WANTED, b"")
        assert sinks[0].sent
        with pytest.raises(RemoteProtocolError):
            await ends[1].channel.dispatch(RecordType.REKEY_WANTED, b"")

    attack(scenario())


def test_no_plugin_gets_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for the person alone, as the code is; that it was shown is no secret."""
    context = context_of(tmp_path)
    told: list[dict[str, Any]] = []
    context.plugins.observe = told.append  # type: ignore[method-assign, assignment]
    monkeypatch.setattr(PluginLoader, "observed", True)
    context.report(SafetyShown(say="12345 67890 12345", asked=True))
    assert told == [{"event": "safety", "v": 1, "asked": True}]


@pytest.mark.parametrize("padded", [False, True])
def test_t26_an_unpadded_record_is_refused_where_padding_was_agreed(
    padded: bool, tmp_path: Path
) -> None:
    """A sender that knows the code and does not pad although the receiver asked."""
    _, theirs = homes(tmp_path)
    tls, pin = identity()

    async def after(peer: Peer) -> None:
        assert peer.line.padded
        if not padded:
            assert peer.line.sealer is not None
            peer.line.sealer._padded = peer.line.padded = False
        await peer.line.seal(RecordType.PING)
        await peer.line.seal(RecordType.ERROR, b"\x07\x00\x02no", final=True)
        await peer.line.closed()

    async def scenario() -> None:
        async with listening(HostileHost(after, CODE).serve, tls) as port:
            words = ("--yes", "-o", "out", "--json", "--relay", f"tls://127.0.0.1:{port}{pin}")
            async with tallow(theirs, "receive", *words, env={"TALLOW_CODE": CODE}) as target:
                assert await target.wait() == (7 if padded else 8), target.said()
                assert ("unpadded" in (await target.event("error"))["message"]) is not padded

    attack(scenario())
    assert tree(theirs.root / "out") == []


# -- the safety number ---------------------------------------------------------------------------


def test_t26_nothing_is_offered_before_the_number_was_typed(tmp_path: Path) -> None:
    ours, theirs = homes(tmp_path, bob="")

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs) as (source, target):
            number = await said(target)
            await said(source)
            await asyncio.sleep(1.5)
            assert path.sealed("guest") == []
            source.type("12345 67890 12345\n")
            await eventually(
                lambda: b"that is not the number of the other side" in source.err,
                "a wrong number was noticed",
            )
            source.type(f"{await said(source)}\n")
            await eventually(
                lambda: b"that is the number of this side" in source.err,
                "one's own number was noticed",
            )
            assert path.sealed("guest") == []
            source.type(f"  {number.replace(' ', '')} \n")
            assert await target.wait() == 0, target.said()
            assert await source.wait() == 0, source.said()

    attack(scenario())
    assert (theirs.root / "out" / "file").read_bytes() == CONTENT


def test_t26_nothing_is_accepted_before_the_number_was_typed(tmp_path: Path) -> None:
    """`--yes` answers for the offer, not for the number."""
    ours, theirs = homes(tmp_path, ann="")

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs) as (source, target):
            number = await said(source)
            await target.event("offer")
            await asyncio.sleep(1.5)
            assert path.sealed("host") == []
            assert tree(theirs.root / "out") == []
            target.type(f"{number}\n")
            assert await target.wait() == 0, target.said()
            assert await source.wait() == 0, source.said()

    attack(scenario())


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_t26_three_wrong_numbers_end_it(who: str, tmp_path: Path) -> None:
    """Exit 4 where they were typed, no file, and at the sender not one record of an offer."""
    ours, theirs = homes(
        tmp_path, ann=PARANOID if who == "sender" else "", bob=PARANOID if who == "receiver" else ""
    )

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs) as (source, target):
            typist, other = (source, target) if who == "sender" else (target, source)
            typist.type("1\n2\n3\n4\n")
            assert await typist.wait() == 4, typist.said()
            assert await other.wait() == (7 if who == "sender" else 6), other.said()
            error = await typist.event("error")
            assert (error["name"], error["exit"]) == ("authentication", 4)
            for program in (typist, other):
                assert "somebody may stand between" in (await program.event("error"))["message"]
                assert_harmless(program)
            assert path.sealed("guest" if who == "sender" else "host") in ([4 + 256], [4 + 4096])

    attack(scenario())
    assert tree(theirs.root / "out") == []


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_nobody_at_standard_input(who: str, tmp_path: Path) -> None:
    ours, theirs = homes(
        tmp_path, ann=PARANOID if who == "sender" else "", bob=PARANOID if who == "receiver" else ""
    )

    async def scenario() -> None:
        async with way(tmp_path) as path, both(path, ours, theirs) as (source, target):
            alone = source if who == "sender" else target
            assert alone.process.stdin is not None
            alone.process.stdin.close()
            assert await alone.wait() == 2, alone.said()
            assert "standard input" in (await alone.event("error"))["message"]

    attack(scenario())
    assert tree(theirs.root / "out") == []


def test_t26_somebody_between_who_knows_the_code_shows_other_numbers(tmp_path: Path) -> None:
    """He has a session with each end, and reads out, at best, what his own sessions give."""
    ours, theirs = homes(tmp_path)
    tls, pin = identity()

    async def scenario() -> None:
        async with (
            relay_server(Home(tmp_path / "relay")) as (_, port),
            listening(Tap(port).serve, tls) as front,
        ):
            env = {"TALLOW_CODE": CODE}
            relay = f"tls://127.0.0.1:{front}{pin}"
            async with tallow(
                ours, "send", "file", "--json", "--relay", relay, env=env, typing=True
            ) as source:
                await source.event("code")
                towards_sender = await prove(await dial(port), CODE)

                async def after(peer: Peer) -> None:
                    await peer.line.closed()

                async with listening(HostileHost(after, CODE).serve, tls) as fake:
                    words = (
                        "--yes",
                        "-o",
                        "out",
                        "--json",
                        "--relay",
                        f"tls://127.0.0.1:{fake}{pin}",
                    )
                    async with tallow(theirs, "receive", *words, env=env, typing=True) as target:
                        heard = await said(target)
                        assert heard != await said(source)
                        source.type(f"{heard}\n" * 3)
                        assert await source.wait() == 4, source.said()
                        assert (await towards_sender.line.open())[0] == RecordType.ERROR

    attack(scenario())


def test_t26_a_receiver_that_leaves_takes_the_question_with_it(tmp_path: Path) -> None:
    """The line that is typed afterwards answers the question of the next session, and no other
    thread takes it."""
    ours, theirs = homes(tmp_path, bob="")

    async def scenario() -> None:
        env = {"TALLOW_CODE": CODE}
        async with (
            way(tmp_path) as path,
            tallow(
                ours, "send", "file", "--json", "--relay", path.sending, env=env, typing=True
            ) as source,
        ):
            await source.event("code")
            for _ in range(3):
                async with tallow(
                    theirs,
                    "receive",
                    "--relay",
                    path.receiving,
                    "--json",
                    "--yes",
                    "-o",
                    "out",
                    env=env,
                ) as target:
                    await said(target)
                    target.signal(signal.SIGTERM)
                    assert await target.wait() == 130
            await eventually(
                lambda: source.err.count(b"left before it accepted") == 3, "the sender waits again"
            )
            async with tallow(
                theirs,
                "receive",
                "--relay",
                path.receiving,
                "--json",
                "--yes",
                "-o",
                "out",
                env=env,
            ) as target:
                number = await said(target)
                await eventually(
                    lambda: source.err.count(b"reads to you: ") == 4, "the fourth question"
                )
                source.type(f"{number}\n")
                assert await target.wait() == 0, target.said()
                assert await source.wait() == 0, source.said()

    attack(scenario())


# -- words and guesses ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["send", "receive"])
@pytest.mark.parametrize(
    "code",
    [
        "4821-stamp-daybreak-kindred",
        "4821-stamp-daybreak-kindred-velvet",
        "4821-correct horse battery staple",
    ],
)
def test_t26_a_code_of_fewer_words_is_refused_before_a_byte_is_sent(
    command: str, code: str, tmp_path: Path
) -> None:
    ours, _ = homes(tmp_path)
    error = attack(refusal(ours, command, *(["file"] if command == "send" else []), code=code))
    assert "5 or more words" in error["message"]
    assert "--words 5" in error["message"]
    assert "stamp" not in error["message"]
    assert "horse" not in error["message"]


async def refusal(
    home: Home, *words: str, code: str | None = CODE, relay: bool = True
) -> dict[str, Any]:
    """Run it with a relay that may not be reached; the `policy` error that it ends with, before a
    code is shown."""
    met: list[Line] = []

    async def serve(line: Line) -> None:
        met.append(line)

    tls, pin = identity()
    async with listening(serve, tls) as port:
        pinned = ("--relay", f"tls://127.0.0.1:{port}{pin}") if relay else ()
        env = {} if code is None else {"TALLOW_CODE": code}
        async with tallow(
            home, words[0], *pinned, *words[1:], "--json", env=env, stdin=b""
        ) as program:
            assert await program.wait() == 3, program.said()
            (error,) = program.events()
            assert (error["event"], error["name"]) == ("error", "policy")
            assert 'the profile "paranoid"' in error["message"]
            assert str(home.root) in error["message"]  # where the profile was chosen
    assert met == []
    return error


@pytest.mark.parametrize(("words", "made"), [(None, 5), ("3", 5), ("7", 7)])
def test_t26_five_words_are_made(words: str | None, made: int, tmp_path: Path) -> None:
    ours, _ = homes(tmp_path)

    async def scenario() -> str:
        more = () if words is None else ("--words", words)
        async with (
            way(tmp_path) as path,
            tallow(ours, "send", "file", "--json", *more, "--relay", path.sending) as source,
        ):
            return str((await source.event("code"))["code"])

    assert len(attack(scenario()).split("-")) == 1 + made


def test_t26_ten_wrong_guesses_void_the_code(tmp_path: Path) -> None:
    """The tenth is answered; a new code of another number of words is there at once."""
    ours, _ = homes(tmp_path)

    async def scenario() -> None:
        async with (
            way(tmp_path) as path,
            tallow(ours, "send", "file", "--json", "--relay", path.sending) as source,
        ):
            code = (await source.event("code"))["code"]
            wrong = f"{code.partition('-')[0]}-stamp-daybreak-kindred-velvet-tulip"
            for spent in range(1, 11):
                line = await dial(path.relay)
                with pytest.raises(AuthenticationError):
                    await prove(line, wrong)
                await line.aclose()
                shown = f"({spent} of 10 guesses)"
                await eventually(partial(source.says, shown), f"guess {spent} is shown")
            await eventually(
                lambda: sum(event["event"] == "code" for event in source.events()) == 2,
                "a new code",
            )
            assert source.events()[-1]["code"] != code

    attack(scenario())


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["send", "receive"])
@pytest.mark.parametrize("url", ["tls://relay.example:7171", "tcp://127.0.0.1:7171"])
def test_t26_a_relay_without_a_pin_is_refused_before_a_byte_is_sent(
    command: str, url: str, tmp_path: Path
) -> None:
    """Here behind one that has a pin: not even that one is dialled."""
    ours, _ = homes(tmp_path)
    error = attack(refusal(ours, command, *(["file"] if command == "send" else []), "--relay", url))
    assert "#sha256=PIN" in error["message"]
    assert url in error["message"]


@pytest.mark.parametrize("command", ["send", "receive"])
def test_t26_without_a_relay_there_is_no_way(command: str, tmp_path: Path) -> None:
    ours, _ = homes(tmp_path)
    error = attack(refusal(ours, command, *(["file"] if command == "send" else []), relay=False))
    assert "a relay with a pin is needed" in error["message"]


@pytest.mark.parametrize("how", ["flag", "file"])
def test_t26_no_listener(how: str, tmp_path: Path) -> None:
    ours, _ = homes(
        tmp_path, ann=PARANOID + ('[send]\nlisten = ["127.0.0.1:0"]\n' if how == "file" else "")
    )
    error = attack(
        refusal(ours, "send", "file", *(["--listen", "127.0.0.1:0"] if how == "flag" else []))
    )
    assert "--listen" in error["message"]


def test_t26_no_direct_dial(tmp_path: Path) -> None:
    ours, _ = homes(tmp_path)
    met: list[Line] = []

    async def serve(line: Line) -> None:
        met.append(line)

    async def scenario() -> dict[str, Any]:
        async with listening(serve) as port:
            return await refusal(ours, "receive", "--at", f"127.0.0.1:{port}")

    assert "--at" in attack(scenario())["message"]
    assert met == []


def test_t26_standard_input_cannot_be_sent(tmp_path: Path) -> None:
    ours, _ = homes(tmp_path)
    error = attack(refusal(ours, "send", "-"))
    assert "write it to a file" in error["message"]


@pytest.mark.parametrize("profile", ["", PARANOID])
def test_t26_a_sender_listens_nowhere_and_announces_nothing(profile: str, tmp_path: Path) -> None:
    ours, _ = homes(tmp_path, ann=profile)

    async def scenario() -> None:
        async with (
            way(tmp_path) as path,
            tallow(ours, "send", "file", "--json", "--relay", path.sending) as source,
        ):
            assert bool((await source.event("code"))["listen"]) is not bool(profile)
            assert listens(source.process.pid) is not bool(profile)
            records = tree(ours.runtime / "tallow" / "local")
            assert bool(records) is not bool(profile)

    attack(scenario())


@pytest.mark.parametrize("profile", ["", PARANOID])
def test_t26_a_receiver_does_not_look_on_its_machine(profile: str, tmp_path: Path) -> None:
    """A sender of the same user announces itself there; the one with the profile does not even
    look."""
    ours, theirs = homes(tmp_path, ann="", bob=profile)

    async def scenario() -> None:
        env = {"TALLOW_CODE": CODE, "XDG_RUNTIME_DIR": str(ours.runtime)}
        async with way(tmp_path) as path, tallow(ours, "send", "file", "--json", env=env) as source:
            await source.event("code")
            words = ("--yes", "-o", "out", "--json", "--wait", "3", "--relay", path.receiving)
            async with tallow(theirs, "receive", *words, env=env) as target:
                assert await target.wait() == (5 if profile else 0), target.said()
                if not profile:
                    assert (await target.event("peer"))["path"] == "local"

    attack(scenario())
