"""Readers and writers of the binary layouts of the protocol: big-endian integers and
length-prefixed fields (docs/protocol/codec.md, "Notation").

A `Reader` checks every read against the bytes that are left, and `end` refuses bytes left over. Its
errors are `RemoteProtocolError`.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.codec.alert import Alert
from tallow_core.types import ReadBuffer

_U8, _U16, _U32, _U64, _I64 = (Struct(">" + code) for code in "BHIQq")


def lv(data: ReadBuffer) -> bytes:
    """`length[4] || data`."""
    return _U32.pack(len(data)) + data


def u32(value: int) -> bytes:
    """`value` as four bytes."""
    return _U32.pack(value)


def malformed(what: str) -> RemoteProtocolError:
    """The error for input that breaks a layout or a limit."""
    return RemoteProtocolError(f"the other side broke the protocol: {what}", Alert.MALFORMED)


class Writer:
    """Appends fields to one message."""

    def __init__(self) -> None:
        self._parts: list[bytes | bytearray | memoryview] = []

    def u8(self, value: int) -> Writer:
        """Append one byte."""
        self._parts.append(_U8.pack(value))
        return self

    def u16(self, value: int) -> Writer:
        """Append two bytes."""
        self._parts.append(_U16.pack(value))
        return self

    def u32(self, value: int) -> Writer:
        """Append four bytes."""
        self._parts.append(_U32.pack(value))
        return self

    def u64(self, value: int) -> Writer:
        """Append eight bytes."""
        self._parts.append(_U64.pack(value))
        return self

    def i64(self, value: int) -> Writer:
        """Append a signed integer of eight bytes."""
        self._parts.append(_I64.pack(value))
        return self

    def raw(self, data: ReadBuffer) -> Writer:
        """Append `data` as it is (a field of fixed size)."""
        self._parts.append(data)
        return self

    def text8(self, text: str) -> Writer:
        """Append `length[1] || UTF-8`."""
        data = text.encode()
        return self.u8(len(data)).raw(data)

    def text16(self, text: str) -> Writer:
        """Append `length[2] || UTF-8`."""
        data = text.encode()
        return self.u16(len(data)).raw(data)

    def bytes16(self, data: ReadBuffer) -> Writer:
        """Append `length[2] || data`."""
        return self.u16(len(data)).raw(data)

    def done(self) -> bytes:
        """The message."""
        return b"".join(self._parts)


class Reader:
    """Takes fields off the front of one message; `at` is how many bytes were taken."""

    def __init__(self, data: ReadBuffer, what: str) -> None:
        self._view = memoryview(data)
        self._size = len(self._view)
        self.at = 0
        self._what = what

    def fields(self, layout: Struct) -> tuple[Any, ...]:
        """Take several fields of fixed size in one step, which is faster."""
        end = self.at + layout.size
        if end > self._size:
            raise malformed(f"{self._what} is too short")
        values = layout.unpack_from(self._view, self.at)
        self.at = end
        return values

    def peek(self, layout: Struct, ahead: int = 0) -> tuple[Any, ...] | None:
        """The fields after `ahead` more bytes, without taking them; None if the message is
        shorter."""
        start = self.at + ahead
        return layout.unpack_from(self._view, start) if start + layout.size <= self._size else None

    def _struct(self, layout: Struct) -> int:
        value: int = self.fields(layout)[0]
        return value

    def u8(self) -> int:
        """Take one byte."""
        return self._struct(_U8)

    def u16(self) -> int:
        """Take two bytes."""
        return self._struct(_U16)

    def u32(self) -> int:
        """Take four bytes."""
        return self._struct(_U32)

    def u64(self) -> int:
        """Take eight bytes."""
        return self._struct(_U64)

    def i64(self) -> int:
        """Take a signed integer of eight bytes."""
        return self._struct(_I64)

    def view(self, size: int) -> memoryview:
        """Take `size` bytes without copying them."""
        end = self.at + size
        if end > self._size:
            raise malformed(f"{self._what} is too short")
        part = self._view[self.at : end]
        self.at = end
        return part

    def view_at(self, ahead: int, size: int) -> memoryview | None:
        """The `size` bytes after `ahead` more, without taking them; None if the message is
        shorter."""
        start = self.at + ahead
        return self._view[start : start + size] if start + size <= self._size else None

    def raw(self, size: int) -> bytes:
        """Take `size` bytes."""
        return bytes(self.view(size))

    def bytes16(self, most: int) -> bytes:
        """Take `length[2] || data`, at most `most` bytes."""
        size = self.u16()
        if size > most:
            raise malformed(f"a field of {self._what} is longer than {most} bytes")
        return self.raw(size)

    def text8(self) -> str:
        """Take `length[1] || UTF-8`."""
        start = self.at + 1  # without calls: an offer has millions of names
        end = start + self._view[start - 1] if start <= self._size else start
        if end > self._size:
            raise malformed(f"{self._what} is too short")
        self.at = end
        return self._decode(self._view[start:end])

    def text16(self, most: int) -> str:
        """Take `length[2] || UTF-8`, at most `most` bytes."""
        return self._decode(self.bytes16(most))

    def _decode(self, data: ReadBuffer) -> str:
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError:
            raise malformed(f"{self._what} holds text that is not UTF-8") from None

    def skip(self, expected: bytes) -> bool:
        """Take `expected` if it comes next. Returns whether it did."""
        end = self.at + len(expected)
        if self._view[self.at : end] != expected:
            return False
        self.at = end
        return True

    def since(self, start: int) -> memoryview:
        """The bytes taken since `at` was `start`."""
        return self._view[start : self.at]

    @property
    def left(self) -> int:
        """The number of bytes that have not been taken."""
        return self._size - self.at

    def end(self) -> None:
        """Refuse bytes left over."""
        if self.left:
            raise malformed(f"{self._what} is too long")
