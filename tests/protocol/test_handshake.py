"""Two handshake machines in memory, and everything that can happen to the bytes between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import (
    AuthenticationError,
    LocalProtocolError,
    PolicyError,
    RefusedError,
    RemoteProtocolError,
    TallowError,
    UnreachableError,
)
from tallow_core.protocol.codec.alert import Alert, sentence
from tallow_core.protocol.codec.frame import MAX_BODY_BYTES, Frame, FrameType
from tallow_core.protocol.codec.wire import Reader, Writer
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.protocol.handshake.guess_budget import Budget
from tallow_core.protocol.handshake.guest_handshake import GuestHandshake
from tallow_core.protocol.handshake.handshake_machine import ProofDue
from tallow_core.protocol.handshake.host_handshake import HostHandshake
from tallow_core.protocol.handshake.suite_offer import KINDS, offer_of, read_offer, write_offer
from tallow_core.secrets import system_rng
from tallow_core.testing.fakes import seeded_rng
from tallow_plugins.authenticators.cpace import Cpace
from tests.kit.machines import (
    ALERT,
    ANSWER,
    CODE,
    DEFAULT,
    DONE,
    FAST,
    FLIGHTS,
    HELLO,
    PROVE,
    SHARE,
    WRONG,
    End,
    Wire,
    converse,
    cut,
    frames_of,
    guest,
    host,
    named,
    no_veto,
    scripted_cpace,
)

FROM_HOST = {HELLO, SHARE, DONE}
Offers = dict[str, tuple[str, ...]]


def on(kind: FrameType, change: Callable[[Frame], Sequence[bytes]]) -> Wire:
    """A wire that changes the frames of one type, the alerts of the answer excepted."""
    return lambda frame: change(frame) if frame.type == kind else [frame.encoded]


def flipped(bit: int, frame: Frame) -> list[bytes]:
    return [flip(frame.encoded, bit)]


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def recorded() -> dict[int, Frame]:
    """The messages of a handshake that went well."""
    a, b = converse(host(), guest())
    return {frame.type: frame for frame in a.sent + b.sent}


def refuses(a: End, b: End, kind: FrameType) -> None:
    """Nothing was established at the end that got the changed message `kind`, nor at the other,
    unless that had already finished."""
    assert b.established is None
    assert (a.established is None) == (kind != DONE)
    assert (b if kind in FROM_HOST else a).error is not None


# -- it works ------------------------------------------------------------------------------------


@pytest.mark.parametrize("drivers", [FAST, DEFAULT], ids=["fast", "default"])
def test_both_ends_agree(drivers: Any) -> None:
    a, b = converse(host(drivers=drivers), guest(drivers=drivers))
    assert a.established is not None
    assert b.established is not None
    assert (
        a.established.suite
        == b.established.suite
        == {kind: next(iter(drivers[kind])) for kind in KINDS}
    )
    ours, theirs = a.established.schedule, b.established.schedule
    assert ours.transcript == theirs.transcript
    assert ours.key(b"any", b"context") == theirs.key(b"any", b"context")
    assert [frame.type for frame in a.sent] == [HELLO, SHARE, DONE]
    assert [frame.type for frame in b.sent] == [ANSWER, PROVE]
    assert all(len(frame.body) <= MAX_BODY_BYTES for frame in a.sent + b.sent)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=40))
def test_any_split_of_the_bytes_works(places: list[int]) -> None:
    a, b = converse(
        host(drivers=DEFAULT), guest(drivers=DEFAULT), lambda frame: cut(frame.encoded, places)
    )
    assert a.established is not None
    assert b.established is not None


def test_byte_by_byte_works() -> None:
    a, b = converse(host(), guest(), lambda frame: [bytes([byte]) for byte in frame.encoded])
    assert a.established is not None
    assert b.established is not None


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_feeding_no_more_than_wanted_leaves_what_follows_untouched(data: st.DataObject) -> None:
    a, b = host(), guest()
    streams = {id(a): bytearray(), id(b): bytearray()}
    while not (a.over and b.over):
        for sender, receiver in ((a, b), (b, a)):
            for frame in sender.take():
                streams[id(receiver)] += frame.encoded
                if frame.type in (DONE, PROVE):
                    streams[id(receiver)] += (
                        b"\x00\x00\x00\x01sealed records follow in the same flight"
                    )
        for end in (a, b):
            inbox = streams[id(end)]
            while inbox and not end.over and end.machine.wants > 0 and not (end is a and a.proofs):
                count = data.draw(st.integers(1, end.machine.wants))
                end.feed(bytes(inbox[:count]))
                del inbox[:count]
    assert a.established is not None
    assert b.established is not None
    assert all(
        bytes(left).endswith(b"sealed records follow in the same flight")
        for left in streams.values()
    )


def test_every_handshake_is_fresh() -> None:
    runs = [recorded() for _ in range(3)]
    for kind in FLIGHTS:
        assert len({run[kind].body for run in runs}) == 3
    fixed = [host(rng=seeded_rng(b"same")).take()[0].body for _ in range(2)]
    assert fixed[0] == fixed[1], "the host's randomness comes from the rng it was given"


# -- T-23 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLIGHTS, ids=lambda kind: kind.name)
def test_t23_every_bit_of_every_message_counts(kind: FrameType) -> None:
    length = len(recorded()[kind].encoded)
    for bit in range(length * 8):
        a, b = converse(host(), guest(), on(kind, partial(flipped, bit)))
        receiver = b if kind in FROM_HOST else a
        if receiver.error is None:
            # Only a length that grew leaves the receiver waiting, for bytes that never come: its
            # deadline ends that.
            assert 1 <= bit // 8 <= 4
            assert receiver.machine.wants > 0
            assert b.established is None
            assert (a.established is None) == (kind != DONE)
        else:
            refuses(a, b, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FLIGHTS, ids=lambda kind: kind.name)
def test_t23_every_byte_of_the_default_suite_counts(kind: FrameType) -> None:
    length = len(
        next(
            frame
            for end in converse(host(drivers=DEFAULT), guest(drivers=DEFAULT))
            for frame in end.sent
            if frame.type == kind
        ).body
    )
    for at in range(length):

        def change(frame: Frame, bit: int = at * 8 + at % 8) -> Sequence[bytes]:
            return [frame.encoded[:5] + flip(frame.body, bit)]

        refuses(*converse(host(drivers=DEFAULT), guest(drivers=DEFAULT), on(kind, change)), kind)


@pytest.mark.parametrize("kind", FLIGHTS, ids=lambda kind: kind.name)
def test_t23_a_message_cut_short_or_grown_is_refused(kind: FrameType) -> None:
    body = recorded()[kind].body
    for length in [*range(len(body)), len(body) + 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1]:

        def change(frame: Frame, size: int = length) -> Sequence[bytes]:
            return [Frame(kind, (frame.body + bytes(size))[:size]).encoded]

        refuses(*converse(host(), guest(), on(kind, change)), kind)


@pytest.mark.parametrize("kind", FLIGHTS, ids=lambda kind: kind.name)
def test_t23_a_stream_that_stops_within_a_message_gives_nothing(kind: FrameType) -> None:
    a, b = converse(host(), guest(), on(kind, lambda frame: [frame.encoded[:-1]]))
    receiver = b if kind in FROM_HOST else a
    assert receiver.error is None
    assert receiver.machine.wants == 1
    assert b.established is None
    assert (a.established is None) == (kind != DONE)


@pytest.mark.parametrize("kind", FLIGHTS, ids=lambda kind: kind.name)
def test_t23_a_message_that_comes_twice_is_refused(kind: FrameType) -> None:
    a, b = converse(host(), guest(), on(kind, lambda frame: [frame.encoded * 2]))
    refuses(a, b, kind)
    receiver = b if kind in FROM_HOST else a
    assert isinstance(receiver.error, RemoteProtocolError)
    assert receiver.proofs == (
        kind == DONE
    )  # a proof that is followed by nonsense is not even charged


@pytest.mark.parametrize("kind", FLIGHTS, ids=lambda kind: kind.name)
def test_t23_a_message_of_an_earlier_handshake_is_refused(kind: FrameType) -> None:
    earlier = recorded()[kind]
    refuses(*converse(host(), guest(), on(kind, lambda _frame: [earlier.encoded])), kind)


OUT_OF_ORDER = [
    (due, wrong)
    for due in FLIGHTS
    for wrong in (*FLIGHTS, FrameType.JOIN, FrameType.LANE_HELLO, FrameType.RELAY_PING, 0, 255)
    if wrong != due
]


@pytest.mark.parametrize(("due", "wrong"), OUT_OF_ORDER)
def test_t23_messages_out_of_order_and_reflected_ones_are_refused(
    due: FrameType, wrong: int
) -> None:
    """Instead of the message that is due comes one of another type, from this very handshake where
    it exists already (a machine's own included), else from an earlier one."""
    seen = recorded()

    def wire(frame: Frame) -> Sequence[bytes]:
        if frame.type == due:
            return [seen.get(wrong, Frame(wrong, b"")).encoded]
        seen[frame.type] = frame
        return [frame.encoded]

    a, b = converse(host(), guest(), wire)
    refuses(a, b, due)
    assert isinstance((b if due in FROM_HOST else a).error, RemoteProtocolError)


def test_t23_the_guests_own_proof_is_no_answer_to_it() -> None:
    proofs: list[bytes] = []

    def wire(frame: Frame) -> Sequence[bytes]:
        if frame.type == PROVE:
            proofs.append(frame.body)
        return [Frame(DONE, proofs[0]).encoded] if frame.type == DONE else [frame.encoded]

    a, b = converse(host(), guest(), wire)
    refuses(a, b, DONE)
    assert isinstance(b.error, AuthenticationError)


def test_t23_two_ends_of_one_role_never_meet() -> None:
    for make in (host, guest):
        a, b = converse(make(), make())
        assert a.established is None
        assert b.established is None
    a, b = converse(host(), host())
    assert isinstance(b.error, RemoteProtocolError)


def test_a_machine_that_failed_is_over() -> None:
    a = host()
    a.take()
    a.feed(Frame(SHARE, b"").encoded)
    assert isinstance(a.machine, HostHandshake)
    with pytest.raises(LocalProtocolError):
        a.machine.receive(b"more")
    with pytest.raises(LocalProtocolError):
        a.machine.check()
    assert frames_of(a.machine.data_to_send()) == [Frame(ALERT, bytes([Alert.MALFORMED]))]


def test_a_proof_is_not_checked_after_the_handshake_failed() -> None:
    """The root is zeros by then: a proof under it would be anybody's."""
    a, b = host(), guest()
    b.feed(a.take()[0].encoded)
    a.feed(b.take()[0].encoded)
    b.feed(a.take()[0].encoded)
    machine = a.machine
    assert isinstance(machine, HostHandshake)
    machine.receive(b.take()[0].encoded)
    assert isinstance(machine.next_event(), ProofDue)
    with pytest.raises(RemoteProtocolError):
        machine.receive(Frame(PROVE, bytes(32)).encoded)
    with pytest.raises(LocalProtocolError):
        machine.check()
    machine.refuse(Alert.TAKEN)
    assert frames_of(machine.data_to_send()) == [Frame(ALERT, bytes([Alert.MALFORMED]))]


def test_proving_or_checking_too_early_or_twice_is_our_own_fault() -> None:
    a, b = host(), guest()
    assert isinstance(a.machine, HostHandshake)
    assert isinstance(b.machine, GuestHandshake)
    for call in (a.machine.check, b.machine.prove):
        with pytest.raises(LocalProtocolError):
            call()
    converse(a, b)
    for call in (a.machine.check, b.machine.prove):
        with pytest.raises(LocalProtocolError):
            call()


# -- alerts --------------------------------------------------------------------------------------

CAUSES = {
    Alert.FAILED: AuthenticationError,
    Alert.VOID: AuthenticationError,
    Alert.NO_SUITE: PolicyError,
    Alert.VETOED: RefusedError,
}


@pytest.mark.parametrize("number", range(256))
def test_an_alert_ends_the_handshake_and_is_not_answered(number: int) -> None:
    for end in (host(), guest()):
        end.take()
        end.feed(Frame(ALERT, bytes([number])).encoded)
        assert isinstance(
            end.error,
            CAUSES.get(
                Alert(number) if number in tuple(Alert) else Alert.TIMEOUT, UnreachableError
            ),
        )
        assert "or someone between, says" in str(end.error)
        assert sentence(number) in str(end.error)
        assert end.take() == []


@pytest.mark.parametrize("body", [b"", b"\x01\x01", b"\x1b[31m"])
def test_t16_an_alert_is_one_byte(body: bytes) -> None:
    end = guest()
    end.feed(Frame(ALERT, body).encoded)
    assert isinstance(end.error, RemoteProtocolError)


@pytest.mark.parametrize("number", list(Alert))
def test_the_runtime_may_refuse_a_guest(number: Alert) -> None:
    a, b = host(), guest()
    b.feed(a.take()[0].encoded)
    assert isinstance(a.machine, HostHandshake)
    a.machine.refuse(number)
    (frame,) = a.take()
    b.feed(frame.encoded)
    assert isinstance(b.error, TallowError)
    assert sentence(number) in str(b.error)


# -- the suite -----------------------------------------------------------------------------------


def hello_with(
    frame: Frame,
    change: Callable[[Offers], Offers],
    versions: bytes | None = None,
    role: int | None = None,
) -> Frame:
    """A Hello with other offers, encoded as a host would."""
    reader = Reader(frame.body, "Hello")
    seen = reader.raw(reader.u8())
    random, direction, wishes, offer = reader.raw(32), reader.u8(), reader.u8(), read_offer(reader)
    versions = seen if versions is None else versions
    writer = (
        Writer()
        .u8(len(versions))
        .raw(versions)
        .raw(random)
        .u8(direction if role is None else role)
        .u8(wishes)
    )
    write_offer(writer, change(offer))
    return Frame(HELLO, writer.done())


def answer_with(
    frame: Frame, change: Callable[[Offers], Offers], suite: dict[str, str] | None = None
) -> Frame:
    """An Answer with other offers, and perhaps another suite, encoded as a guest would."""
    reader = Reader(frame.body, "Answer")
    version, random, wishes, offer = reader.u8(), reader.raw(32), reader.u8(), read_offer(reader)
    chosen = {kind: reader.text8() for kind in KINDS}
    writer = Writer().u8(version).raw(random).u8(wishes)
    write_offer(writer, change(offer))
    for kind in KINDS:
        writer.text8((suite or chosen)[kind])
    return Frame(ANSWER, writer.raw(reader.raw(reader.left)).done())


Names: TypeAlias = tuple[str, ...]


def renamed(kind: str, change: Callable[[Names], Names], offer: Offers) -> Offers:
    """An offer with other names of one kind."""
    return {**offer, kind: change(offer[kind])}


def without(name: str, names: Names) -> Names:
    return tuple(each for each in names if each != name)


def answered(suite: dict[str, str], frame: Frame) -> list[bytes]:
    """An answer with the offer as it was, and another suite."""
    return [answer_with(frame, dict, suite).encoded]


def changes() -> list[tuple[str, Callable[[Offers], Offers]]]:
    """Each removal of one name, each swap of two, and a name that nobody knows, for each kind."""
    found: list[tuple[str, Callable[[Offers], Offers]]] = []
    for kind in KINDS:
        names = offer_of(FAST)[kind]
        found.append(
            (f"{kind}: a name added", partial(renamed, kind, lambda names: (*names, "rot-13")))
        )
        for name in names if len(names) > 1 else ():
            found.append(
                (
                    f"{kind} without {name}",
                    partial(renamed, kind, partial(without, name)),
                )
            )
        if len(names) > 1:
            found.append((f"{kind} reversed", partial(renamed, kind, lambda names: names[::-1])))
    return found


CHANGES = [pytest.param(change, id=name) for name, change in changes()]


@pytest.mark.parametrize("change", CHANGES)
def test_t24_a_changed_offer_of_the_host_never_yields_a_session(
    change: Callable[[Offers], Offers],
) -> None:
    a, b = converse(host(), guest(), on(HELLO, lambda frame: [hello_with(frame, change).encoded]))
    refuses(a, b, HELLO)
    assert a.error is not None


@pytest.mark.parametrize("change", CHANGES)
def test_t24_a_changed_offer_of_the_guest_never_yields_a_session(
    change: Callable[[Offers], Offers],
) -> None:
    a, b = converse(host(), guest(), on(ANSWER, lambda frame: [answer_with(frame, change).encoded]))
    refuses(a, b, ANSWER)
    assert b.error is not None


@pytest.mark.parametrize("change", CHANGES)
def test_t24_both_offers_changed_alike_never_yield_a_session(
    change: Callable[[Offers], Offers],
) -> None:
    """Somebody between makes both ends compute the same weaker suite: the transcripts differ, so
    the proof is wrong."""

    def wire(frame: Frame) -> Sequence[bytes]:
        if frame.type == HELLO:
            return [hello_with(frame, change).encoded]
        return [(answer_with(frame, change) if frame.type == ANSWER else frame).encoded]

    a, b = converse(host(), guest(), wire)
    refuses(a, b, HELLO)
    assert isinstance(a.error, AuthenticationError)
    assert isinstance(b.error, AuthenticationError)


def test_t24_another_suite_than_the_offers_give_is_refused() -> None:
    for kind in ("kem", "cipher", "hash"):
        suite = {each: names[0] for each, names in offer_of(FAST).items()} | {
            kind: offer_of(FAST)[kind][1]
        }
        a, b = converse(
            host(),
            guest(),
            on(ANSWER, partial(answered, suite)),
        )
        refuses(a, b, ANSWER)
        assert isinstance(a.error, RemoteProtocolError)
        assert a.error.alert == Alert.FAILED
        assert a.proofs == 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_common_name_ends_the_handshake_at_the_guest(kind: str) -> None:
    class Other(Cpace):
        name = "other"

    drivers = {**FAST, kind: named(Other)}
    a, b = converse(host(), guest(drivers=drivers))
    assert isinstance(b.error, PolicyError)
    assert b.error.exit_status == 3
    assert f"share no {kind}" in str(b.error)
    assert "other" in str(b.error)
    assert b.sent == [Frame(ALERT, bytes([Alert.NO_SUITE]))]
    assert isinstance(a.error, PolicyError)
    assert a.proofs == 0


def test_an_unknown_name_is_kept_in_the_offer_and_not_chosen() -> None:
    class Future(Cpace):
        name = "opaque-2"

    a, b = converse(host(drivers={**FAST, "authenticator": named(Future, Cpace)}), guest())
    assert b.established is not None
    assert b.established.suite["authenticator"] == "cpace"
    assert a.established is not None


def test_drivers_of_one_name_and_other_sizes_do_not_meet() -> None:
    class Longer(FAST["cipher"]["aes-256-gcm"]):  # type: ignore[misc]
        tag_size = 32

    a, b = converse(host(), guest(drivers={**FAST, "cipher": named(Longer)}))
    assert isinstance(a.error, RemoteProtocolError)
    assert a.error.alert == Alert.FAILED
    assert isinstance(b.error, AuthenticationError)


def test_a_veto_ends_the_handshake_and_never_changes_the_choice() -> None:
    seen: list[object] = []

    def veto(suite: object) -> str | None:
        seen.append(suite)
        return "not on Fridays"

    a, b = converse(host(), guest(veto=veto))
    assert isinstance(b.error, RefusedError)
    assert "not on Fridays" in str(b.error)
    assert isinstance(a.error, RefusedError)
    assert "Fridays" not in str(a.error)
    a, b = converse(host(veto=veto), guest())
    assert isinstance(a.error, RefusedError)
    assert isinstance(b.error, RefusedError)
    assert a.proofs == b.proofs == 0
    assert seen[0] == seen[1] == {kind: names[0] for kind, names in offer_of(FAST).items()}


@pytest.mark.parametrize("versions", [b"", b"\x00", b"\x02\x03", bytes(range(2, 256))])
def test_t16_a_version_that_the_guest_does_not_speak(versions: bytes) -> None:
    a, b = converse(
        host(), guest(), on(HELLO, lambda frame: [hello_with(frame, dict, versions).encoded])
    )
    assert isinstance(b.error, RemoteProtocolError)
    assert b.error.alert == Alert.VERSION
    assert isinstance(a.error, UnreachableError)


@pytest.mark.parametrize("role", [0, 2, 255])
def test_t16_a_transfer_role_that_is_none(role: int) -> None:
    _, b = converse(
        host(), guest(), on(HELLO, lambda frame: [hello_with(frame, dict, role=role).encoded])
    )
    assert isinstance(b.error, RemoteProtocolError)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_t16_a_version_that_the_host_did_not_offer(version: int) -> None:
    a, _ = converse(
        host(),
        guest(),
        on(ANSWER, lambda frame: [Frame(ANSWER, bytes([version]) + frame.body[1:]).encoded]),
    )
    assert isinstance(a.error, RemoteProtocolError)
    assert a.error.alert == Alert.VERSION


# -- guesses -------------------------------------------------------------------------------------


def shared(share: bytes, frame: Frame) -> list[bytes]:
    return [with_share(frame, share).encoded]


def with_share(frame: Frame, share: bytes) -> Frame:
    """An Answer or Share with another key share, its last field."""
    return Frame(frame.type, frame.body[: -len(share)] + share)


LOW_ORDER = [
    bytes(32),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
]


def host_view(a: End, b: End) -> object:
    """What a guest can see of how a host refused it."""
    assert b.established is None
    assert a.established is None
    assert isinstance(a.error, AuthenticationError)
    return a.proofs, str(a.error), [(frame.type, len(frame.body)) for frame in a.sent], a.sent[-1]


def test_every_wrong_proof_looks_the_same() -> None:
    """Wrong words, a low-order share, the host's own share, a changed transcript and an invented
    proof: one alert, the same messages."""
    own = scripted_cpace(bytes(range(32)))
    drivers = {**FAST, "authenticator": {"cpace": own}}
    own_share = host(drivers=drivers, rng=seeded_rng(b"host"))
    views = [host_view(*converse(host(), guest(WRONG)))]
    views += [
        host_view(
            *converse(
                host(),
                guest(),
                on(ANSWER, partial(shared, share)),
            )
        )
        for share in LOW_ORDER
    ]
    views.append(host_view(*converse(own_share, guest(), _with_the_hosts_share(own))))
    views.append(
        host_view(*converse(host(), guest(), on(SHARE, lambda frame: [flip(frame.encoded, 100)])))
    )
    views.append(
        host_view(
            *converse(host(), guest(), on(PROVE, lambda _frame: [Frame(PROVE, bytes(32)).encoded]))
        )
    )
    alert = Frame(ALERT, bytes([Alert.FAILED]))
    expected = (1, "a guest did not know the code", views[0][2], alert)  # type: ignore[index]
    assert [frame[0] for frame in expected[2]] == [HELLO, SHARE, ALERT]
    assert all(view == expected for view in views)


def _with_the_hosts_share(driver: type[Cpace]) -> Wire:
    """A wire that answers with the very share that the host is about to send; the host's scalar is
    known to the test."""
    hello: list[bytes] = []

    def wire(frame: Frame) -> Sequence[bytes]:
        if frame.type == HELLO:
            hello.append(frame.body)
        if frame.type != ANSWER:
            return [frame.encoded]
        session_id = hello[0][2:34] + frame.body[1:33]
        channel = b"\0\0\0\x08tallow/1\0\0\0\x044821"
        share = driver(HostHandshake.role, CODE.password, session_id, channel).share
        return [with_share(frame, share).encoded]

    return wire


@pytest.mark.parametrize("share", LOW_ORDER, ids=lambda share: share.hex()[:8])
def test_a_low_order_share_of_the_host_is_refused(share: bytes) -> None:
    a, b = converse(host(), guest(), on(SHARE, lambda frame: [with_share(frame, share).encoded]))
    assert isinstance(b.error, AuthenticationError)
    assert b.proofs == 0
    assert b.sent[-1] == Frame(ALERT, bytes([Alert.FAILED]))
    assert isinstance(a.error, AuthenticationError)


def test_the_wrong_words_get_nothing() -> None:
    a, b = converse(host(), guest(WRONG))
    assert isinstance(a.error, AuthenticationError)
    assert isinstance(b.error, AuthenticationError)
    assert (a.proofs, b.proofs) == (1, 1)
    assert DONE not in [frame.type for frame in a.sent]
    for secret in ("stamp", "daybreak", "kind"):
        assert secret not in str(a.error) + str(b.error)


def test_another_nameplate_is_another_code() -> None:
    a, _ = converse(host(), guest(parse_code("4822-stamp-daybreak-kindred")))
    assert isinstance(a.error, AuthenticationError)


class MemoryTally:
    """A tally that remembers how often it was written to."""

    def __init__(self) -> None:
        self.count = self.writes = 0

    def read(self) -> int:
        return self.count

    def write(self, count: int) -> None:
        self.count, self.writes = count, self.writes + 1


def test_t31_a_thousand_guests_that_stop_before_the_proof_cost_nothing() -> None:
    answer = recorded()[ANSWER].encoded
    tally = MemoryTally()
    budget = Budget(CODE.guesses, tally)
    shares = set()
    for _ in range(1000):
        machine = HostHandshake(CODE, FAST, system_rng, no_veto)
        machine.receive(answer)
        if isinstance(machine.next_event(), ProofDue):
            budget.charge()
        hello, share = frames_of(machine.data_to_send())
        assert (hello.type, share.type, len(share.body)) == (HELLO, SHARE, 64)
        shares.add(share.body)
    assert (budget.spent, tally.writes) == (0, 0)
    assert len(shares) == 1000


def test_t31_nothing_that_depends_on_the_words_but_the_share_comes_before_the_proof() -> None:
    """With everything random held fixed, two codes give the same bytes except for CPace's share,
    which has one size."""

    class Fixed(FAST["kem"]["x25519"]):  # type: ignore[misc]
        @classmethod
        def encapsulate(cls, public: object) -> tuple[bytes, bytearray]:
            return bytes(32), bytearray(32)

    drivers = {"kem": named(Fixed), **{kind: FAST[kind] for kind in KINDS[1:]}}
    drivers["authenticator"] = {"cpace": scripted_cpace(bytes(range(32)))}
    b = guest(drivers={**drivers, "authenticator": FAST["authenticator"]})
    b.feed(host(drivers=drivers, rng=seeded_rng(b"host")).take()[0].encoded)
    answer = b.take()[0].encoded
    flights = []
    for code in (CODE, WRONG, parse_code("4821-a secret that somebody made up")):
        a = host(code, drivers, seeded_rng(b"host"))
        a.feed(answer)
        flights.append(a.take())
    assert {tuple((frame.type, len(frame.body)) for frame in flight) for flight in flights} == {
        ((HELLO, len(flights[0][0].body)), (SHARE, 64))
    }
    assert len({flight[0].body for flight in flights}) == 1
    assert {flight[1].body[:32] for flight in flights} == {bytes(32)}
    assert len({flight[1].body[32:] for flight in flights}) == 3


def test_t31_the_host_confirms_nothing_before_the_proof_was_right() -> None:
    """A guest that knows the words derives the keys after Share; what the host sent by then holds
    no confirmation of them."""
    a, b = host(), guest()
    b.feed(a.take()[0].encoded)
    a.feed(b.take()[0].encoded)
    b.feed(a.take()[0].encoded)
    (prove,) = b.take()
    assert [frame.type for frame in a.sent] == [HELLO, SHARE]
    a.feed(prove.encoded)
    assert a.established is not None
    (done,) = a.take()
    schedule = a.established.schedule
    assert done.body == schedule.confirmation_host(prove.body)
    early = b"".join(frame.body for frame in a.sent[:2])
    for value in (
        schedule.confirmation_guest(),
        schedule.confirmation_host(prove.body),
        schedule.confirmation_host(b""),
    ):
        assert value not in early
