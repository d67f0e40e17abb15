"""Frames, the reader and writer below them, and Join."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.codec.alert import SENTENCES, Alert, sentence
from tallow_core.protocol.codec.frame import (
    HEADER,
    MAGIC,
    MAX_BODY_BYTES,
    WIRE_VERSION,
    Frame,
    FrameParser,
    FrameType,
)
from tallow_core.protocol.codec.wire import Reader, Writer, lv, u32
from tallow_core.protocol.handshake.join import MAX_WAIT_SECONDS, Join, read_join
from tests.kit.machines import cut

FRAMES = st.lists(st.builds(Frame, st.integers(0, 255), st.binary(max_size=200)), max_size=8)


def parsed(chunks: list[bytes]) -> list[Frame]:
    """All frames, taken out as soon as they are whole."""
    parser = FrameParser()
    frames = []
    for chunk in chunks:
        parser.feed(chunk)
        while frame := parser.next_frame():
            frames.append(frame)
    assert parser.next_frame() is None
    return frames


@settings(max_examples=200, deadline=None)
@given(FRAMES, st.lists(st.integers(0, 2000), max_size=30))
def test_any_split_of_the_bytes_gives_the_frames(frames: list[Frame], places: list[int]) -> None:
    assert parsed(cut(b"".join(frame.encoded for frame in frames), places)) == frames


@settings(max_examples=100, deadline=None)
@given(FRAMES)
def test_what_is_wanted_never_reaches_beyond_the_frame(frames: list[Frame]) -> None:
    data = b"".join(frame.encoded for frame in frames) + b"what follows"
    for frame in frames:
        parser = FrameParser()
        while (got := parser.next_frame()) is None:
            wanted = parser.wants
            assert wanted > 0
            parser.feed(data[:wanted])
            data = data[wanted:]
        assert got == frame
    assert data == b"what follows"


def test_a_frame_is_encoded_as_the_specification_says() -> None:
    assert Frame(FrameType.PROVE, b"abc").encoded == b"\x05\x00\x00\x00\x03abc"
    assert HEADER == 5


def test_t16_a_length_above_the_cap_is_refused_before_anything_is_allocated() -> None:
    for length in (MAX_BODY_BYTES + 1, 1 << 20, 1 << 31, (1 << 32) - 1):
        parser = FrameParser()
        tracemalloc.start()
        try:
            with pytest.raises(RemoteProtocolError) as caught:
                parser.feed(b"\x02" + u32(length))
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
        assert caught.value.alert == Alert.MALFORMED


@pytest.mark.parametrize("length", [0, 1, MAX_BODY_BYTES - 1, MAX_BODY_BYTES])
def test_t16_lengths_within_the_cap(length: int) -> None:
    assert parsed([Frame(2, bytes(length)).encoded]) == [Frame(2, bytes(length))]


def test_t16_the_cap_holds_for_later_frames_too() -> None:
    parser = FrameParser(10)
    parser.feed(Frame(2, bytes(10)).encoded + b"\x02\0\0\0\x0b")
    with pytest.raises(RemoteProtocolError):
        parser.next_frame()


def test_numbers_are_unique() -> None:
    for numbers in (FrameType, Alert):
        assert len({int(member) for member in numbers}) == len(numbers.__members__)
    assert set(SENTENCES) == set(Alert)
    assert sentence(200) == "alert 200"


# -- fields --------------------------------------------------------------------------------------


@given(
    st.integers(0, 255),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
)
def test_integers_are_big_endian(one: int, two: int, four: int, eight: int, signed: int) -> None:
    data = Writer().u8(one).u16(two).u32(four).u64(eight).i64(signed).done()
    parts = [(one, 1), (two, 2), (four, 4), (eight, 8)]
    assert data == b"".join(value.to_bytes(size, "big") for value, size in parts) + signed.to_bytes(
        8, "big", signed=True
    )
    reader = Reader(data, "test")
    assert (reader.u8(), reader.u16(), reader.u32(), reader.u64(), reader.i64()) == (
        one,
        two,
        four,
        eight,
        signed,
    )
    reader.end()


@given(st.text(max_size=60), st.binary(max_size=300))
def test_texts_and_bytes_come_back(text: str, data: bytes) -> None:
    reader = Reader(Writer().text8(text).text16(text).bytes16(data).raw(data).done(), "test")
    assert (reader.text8(), reader.text16(240), reader.bytes16(300), reader.raw(len(data))) == (
        text,
        text,
        data,
        data,
    )
    assert reader.left == 0


def test_t16_a_field_that_is_not_there_is_refused() -> None:
    for take in (Reader.u8, Reader.u16, Reader.u32, Reader.u64, Reader.i64, Reader.text8):
        with pytest.raises(RemoteProtocolError, match="short"):
            take(Reader(b"", "test"))
    for data in (b"\x01", b"\x05abcd", b"\xff"):
        with pytest.raises(RemoteProtocolError, match="short"):
            Reader(data, "test").text8()
    for data in (b"\xff\xff", b"\0\x05abcd"):
        with pytest.raises(RemoteProtocolError, match="short"):
            Reader(data, "test").bytes16(65535)
    with pytest.raises(RemoteProtocolError, match="long"):
        Reader(b"\0\x05abcde", "test").text16(4)
    with pytest.raises(RemoteProtocolError, match="long"):
        Reader(b"a", "test").end()
    with pytest.raises(RemoteProtocolError, match="short"):
        Reader(b"a", "test").raw(1 << 60)


@pytest.mark.parametrize(
    "data", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80"]
)
def test_text_is_strict_utf_8(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="UTF-8"):
        Reader(bytes([len(data)]) + data, "test").text8()


def test_lv() -> None:
    assert lv(b"") == b"\0\0\0\0"
    assert lv(b"abc") == b"\0\0\0\x03abc"


# -- Join ----------------------------------------------------------------------------------------

JOINS = [
    Join("4821"),
    Join("1000", MAX_WAIT_SECONDS, True),
    Join("9999999999", 15),
]


@pytest.mark.parametrize("join", JOINS, ids=str)
def test_a_join_comes_back(join: Join) -> None:
    assert read_join(join.frame()) == join
    assert join.frame().body.startswith(MAGIC + bytes([WIRE_VERSION]))


def raw_join(
    magic: bytes = MAGIC,
    version: int = 1,
    lane: int = 0,
    wait: int = 0,
    nameplate: bytes = b"4821",
    more: bytes = b"",
) -> Frame:
    """A Join of which every field can be anything."""
    return Frame(
        FrameType.JOIN,
        magic + bytes([version, lane]) + u32(wait) + bytes([len(nameplate)]) + nameplate + more,
    )


NAMEPLATES = [
    b"",
    b"0",
    b"123",
    b"0123",
    b"12345678901",
    b"12a4",
    b" 4821",
    b"4821\n",
    "\u0664\u0668\u0662\u0661".encode(),
    b"-4821",
    b"48.1",
]

REFUSED = [
    raw_join(magic=b"tallov"),
    raw_join(magic=b"GET / "),
    *(raw_join(lane=lane) for lane in (2, 255)),
    *(raw_join(wait=wait) for wait in (MAX_WAIT_SECONDS + 1, 2**31, 2**32 - 1)),
    *(raw_join(nameplate=nameplate) for nameplate in NAMEPLATES),
    raw_join(more=b"\0"),
    Frame(FrameType.HELLO, raw_join().body),
    Frame(FrameType.JOIN, b""),
    *(Frame(FrameType.JOIN, raw_join().body[:length]) for length in range(16)),
]


@pytest.mark.parametrize("frame", REFUSED, ids=range(len(REFUSED)))
def test_t16_a_join_out_of_bounds(frame: Frame) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_join(frame)
    assert caught.value.alert == Alert.MALFORMED


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_wire_version(version: int) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_join(raw_join(version=version))
    assert caught.value.alert == Alert.VERSION
