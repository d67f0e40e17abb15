"""Offers and the choice of a suite."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import PolicyError, RemoteProtocolError
from tallow_core.offers import MAX_OFFER_NAMES
from tallow_core.protocol.codec.wire import Reader, Writer
from tallow_core.protocol.handshake.suite_offer import (
    KINDS,
    choose,
    offer_of,
    read_offer,
    write_offer,
)

NAMES = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=6, unique=True).map(tuple)


def offer(kem: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """An offer that differs in its KEMs only."""
    return {"kem": kem, **dict.fromkeys(KINDS[1:], ("one",))}


def better(one: str, other: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Whether `one` comes before `other` by the rule of the specification, said in words: the less
    bad worse rank; then the less sum; then the name."""
    mine, yours = (ours.index(one), theirs.index(one)), (ours.index(other), theirs.index(other))
    if max(mine) != max(yours):
        return max(mine) < max(yours)
    if sum(mine) != sum(yours):
        return sum(mine) < sum(yours)
    return one < other


@settings(max_examples=500)
@given(NAMES, NAMES)
def test_the_choice_is_the_best_common_name(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    common = [name for name in ours if name in theirs]
    if not common:
        with pytest.raises(PolicyError):
            choose(offer(ours), offer(theirs))
        return
    chosen = choose(offer(ours), offer(theirs))
    assert chosen["kem"] in common
    assert all(
        better(chosen["kem"], name, ours, theirs) for name in common if name != chosen["kem"]
    )
    assert chosen == choose(offer(theirs), offer(ours)), "both ends compute the same"
    assert set(chosen) == set(KINDS)


@settings(max_examples=300)
@given(NAMES, NAMES, st.integers(0, 6))
def test_names_that_the_other_end_does_not_know_at_the_end_change_nothing(
    ours: tuple[str, ...], theirs: tuple[str, ...], at: int
) -> None:
    longer = (*theirs, "unknown-here")
    if set(ours) & set(theirs):
        assert choose(offer(ours), offer(longer)) == choose(offer(ours), offer(theirs))


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (("a", "b"), ("b", "a"), "a"),
        (("b", "a"), ("a", "b"), "a"),
        (("a", "b", "c"), ("c", "b", "a"), "b"),
        (("a",), ("b", "c", "a"), "a"),
        (("z", "y", "x", "a"), ("a", "z", "y", "x"), "z"),
        (("a", "b"), ("x", "b", "a"), "b"),
    ],
)
def test_choices_by_example(ours: tuple[str, ...], theirs: tuple[str, ...], chosen: str) -> None:
    assert choose(offer(ours), offer(theirs))["kem"] == chosen


@pytest.mark.parametrize("kind", KINDS)
def test_no_common_name_is_explained(kind: str) -> None:
    same = dict.fromkeys(KINDS, ("one",))
    with pytest.raises(PolicyError) as caught:
        choose({**same, kind: ("mine", "also-mine")}, {**same, kind: ("yours",)})
    for part in (kind, "mine", "also-mine", "yours"):
        assert part in str(caught.value)


def encoded(names: list[bytes], count: int | None = None) -> bytes:
    """An offer with these KEM names."""
    kem = bytes([len(names) if count is None else count]) + b"".join(
        bytes([len(name)]) + name for name in names
    )
    return kem + b"\x01\x03one" * (len(KINDS) - 1)


@given(
    st.lists(
        st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
        min_size=1,
        max_size=MAX_OFFER_NAMES,
        unique=True,
    )
)
def test_an_offer_comes_back_with_its_unknown_names(names: list[str]) -> None:
    writer = Writer()
    write_offer(writer, offer(tuple(names)))
    data = writer.done()
    assert data == encoded([name.encode() for name in names])
    reader = Reader(data, "test")
    assert read_offer(reader) == offer(tuple(names))
    reader.end()


@pytest.mark.parametrize(
    "names",
    [
        [],
        [b""],
        [b"-a"],
        [b"A"],
        [b"a_b"],
        [b"a b"],
        [b"a" * 33],
        [b"a" * 255],
        [b"a\n"],
        [b"a\0"],
        [b"../../evil"],
        [b"os.system"],
        [b"\x1b[31m"],
        ["\u0430".encode()],
        [b"\xff"],
        [b"a", b"a"],
        [b"a", b"b", b"a"],
        [bytes([97 + number]) for number in range(17)],
    ],
)
def test_t16_t27_names_that_are_none_are_refused(names: list[bytes]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_offer(Reader(encoded(names), "test"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("count", [0, 2, 16, 17, 255])
def test_t16_counts_that_are_not_so(count: int) -> None:
    reader = Reader(encoded([b"a"], count), "test")
    with pytest.raises(RemoteProtocolError):
        read_offer(reader)


def test_names_within_bounds() -> None:
    for names in ([b"a"], [b"0"], [b"a" * 32], [bytes([97 + number]) for number in range(16)]):
        assert read_offer(Reader(encoded(names), "test"))["kem"] == tuple(
            name.decode() for name in names
        )


def test_an_offer_keeps_the_order_and_the_first_sixteen() -> None:
    for order in permutations(("x", "y", "z")):
        assert offer_of({kind: dict.fromkeys(order, int) for kind in KINDS})["cipher"] == order
    many = dict.fromkeys((f"driver-{number}" for number in range(20)), int)
    assert offer_of(dict.fromkeys(KINDS, many))["hash"] == tuple(many)[:16]
