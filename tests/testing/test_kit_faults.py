"""The conformance kit refuses ciphers, hashes, authenticators, discoveries and rooms that are
broken in further ways that matter."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

from tallow_core.directories import Directories
from tallow_core.errors import AuthenticationError, CryptoError, ForgedRecord
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.kinds import AUTHENTICATOR, CIPHER, DISCOVERY, HASH, ROOMS, Kind
from tallow_core.secrets import wipe
from tallow_core.spi.discovery import Advert
from tallow_core.spi.hash import Hasher
from tallow_core.spi.rooms import RoomTaken
from tallow_core.testing import ConformanceError
from tallow_core.testing.checks import bounded
from tallow_core.testing.suite import run_checks
from tallow_core.types import Endpoint, ReadBuffer, Role, WriteBuffer
from tallow_plugins.authenticators.cpace import Cpace
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.discoveries.local import Local
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.rooms.memory import MemoryRooms


class ShortTags(Aes256Gcm):
    """Has tags of 96 bits, and says so."""

    tag_size: ClassVar[int] = 12


class LongTags(Aes256Gcm):
    """Has tags for which a full record has no room."""

    tag_size: ClassVar[int] = 64


class HalfOfTheKey(Aes256Gcm):
    """Looks at half of its key."""

    name: ClassVar[str] = "half-of-the-key"

    def __init__(self, key: ReadBuffer) -> None:
        super().__init__(bytes(key[:16]) + bytes(16) if len(key) == 32 else key)


class ClearsFirst(Aes256Gcm):
    """Clears the output before it seals, and with it an input that lies there."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        if (
            len(out) >= len(plaintext) + 16
            and not memoryview(out).readonly
            and memoryview(out).contiguous
        ):
            wipe(memoryview(out)[: len(plaintext) + 16])
        return super().seal_into(nonce, aad, plaintext, out)


class ShiftsPieces(Aes256Gcm):
    """Opens through a copy that it moves by a byte, where input and output are one."""

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        length = super().open_into(nonce, aad, ciphertext, out)
        if (
            isinstance(ciphertext, memoryview)
            and isinstance(out, memoryview)
            and ciphertext.obj is out.obj
            and length > 1
        ):
            out[1:length] = bytes(out[: length - 1])
        return length


class WritesThroughGaps(Aes256Gcm):
    """Seals into an output with gaps as if it were whole."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        if memoryview(out).contiguous:
            return super().seal_into(nonce, aad, plaintext, out)
        whole = bytearray(len(out))
        length = super().seal_into(nonce, aad, plaintext, whole)
        out[:] = whole
        return length


class IgnoresReadOnly(Aes256Gcm):
    """Takes a read-only output, and writes somewhere else."""

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        return super().open_into(
            nonce, aad, ciphertext, bytearray(len(out)) if memoryview(out).readonly else out
        )


class ConsumesInput(Aes256Gcm):
    """Wipes what it has opened."""

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        length = super().open_into(nonce, aad, ciphertext, out)
        if isinstance(ciphertext, bytearray):
            wipe(ciphertext)
        return length


class NeedsWritable(Aes256Gcm):
    """Opens in the record itself."""

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        if isinstance(ciphertext, memoryview) and ciphertext.readonly:
            raise CryptoError("this record is read-only")
        return super().open_into(nonce, aad, ciphertext, out)


class FillsGaps(Aes256Gcm):
    """Reads from the start of an input with gaps on, as if it had none."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        view = memoryview(plaintext)
        return super().seal_into(
            nonce, aad, plaintext if view.contiguous else bytes(view.obj)[: len(view)], out
        )


class SealsGapsOnly(Aes256Gcm):
    """Takes a text with gaps for sealing; opening is left to the library, which refuses."""

    def seal_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, plaintext: ReadBuffer, out: WriteBuffer
    ) -> int:
        return super().seal_into(nonce, aad, bytes(plaintext), out)


class TakesGapsForForgery(Aes256Gcm):
    """Calls every error of the library a forgery."""

    def open_into(
        self, nonce: ReadBuffer, aad: ReadBuffer, ciphertext: ReadBuffer, out: WriteBuffer
    ) -> int:
        if not memoryview(aad).contiguous:
            raise ForgedRecord("forged")
        return super().open_into(nonce, aad, ciphertext, out)


class _Ends(Hasher):
    def __init__(self, context: str) -> None:
        self._context = context
        self._inner = Blake3.hasher(context)

    def update(self, data: ReadBuffer, /) -> None:
        self._inner.update(data)

    def digest(self) -> bytes:
        found, self._inner = self._inner.digest(), Blake3.hasher(self._context)
        return found


class DigestEnds(Blake3):
    """Begins anew after a digest."""

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        return _Ends(context)


class _Framed(Hasher):
    def __init__(self, context: str) -> None:
        self._inner = Blake3.hasher(context)

    def update(self, data: ReadBuffer, /) -> None:
        self._inner.update(len(data).to_bytes(8) + bytes(data))

    def digest(self) -> bytes:
        return self._inner.digest()


class PiecesMatter(Blake3):
    """Puts the length of each piece in front of it."""

    name: ClassVar[str] = "pieces-matter"

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        return _Framed(context)


class RunsTogether(Blake3):
    """Hashes the context in front of the data."""

    name: ClassVar[str] = "runs-together"

    @classmethod
    def hasher(cls, context: str) -> Hasher:
        hasher = super().hasher("tallow/1 everything")
        hasher.update(context.encode())
        return hasher


class RepeatsShare(Cpace):
    """Has no randomness as a guest."""

    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        fixed = (lambda size: b"\7" * size) if role is Role.GUEST else secrets.token_bytes
        with mock.patch.object(secrets, "token_bytes", fixed):
            super().__init__(role, password, session_id, channel)


class TellsTooEarly(Cpace):
    """Raises for a wrong password, before anybody has proved to know the right one."""

    _words: ClassVar[dict[bytes, bytes]] = {}

    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        super().__init__(role, password, session_id, channel)
        self._words[self.share] = bytes(password)

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        theirs = self._words.get(bytes(peer_share))
        if theirs not in (None, self._words[self.share]):
            raise AuthenticationError("the password is wrong")
        return super().finish(peer_share)


class ReadOnlyKey(Cpace):
    """Gives a key that cannot be wiped."""

    def finish(self, peer_share: ReadBuffer) -> bytearray:
        return bytes(super().finish(peer_share))  # type: ignore[return-value]


class OutlivesContext(Local):
    """Goes on announcing when the context has closed."""

    def announce(self, advert: Advert) -> AbstractAsyncContextManager[None]:
        context = super().announce(advert)

        class Open(AsyncExitStack):
            async def __aexit__(self, *_: object) -> bool:
                _left_open.append(context)
                return False

        return Open() if _entered(context) else context  # type: ignore[return-value]


_left_open: list[object] = []


def _entered(context: AbstractAsyncContextManager[None]) -> bool:
    try:
        context.__aenter__().send(None)
    except StopIteration:
        return True
    raise AssertionError("local waits for nothing when it announces")


class WrongNameplate(Local):
    """Finds whoever announces."""

    async def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        for each in await self.nameplates(0) or {nameplate}:
            async for endpoint in super().browse(each):
                yield endpoint
                break
        async for endpoint in super().browse(nameplate):
            yield endpoint


class FindsTheUnannounced(Local):
    """Makes something up where there is nothing to find."""

    async def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        if nameplate not in await self.nameplates(0):
            yield Endpoint("tcp", "127.0.0.1", 1)
        async for endpoint in super().browse(nameplate):
            yield endpoint


class SeesNobody(Local):
    """Does not know which nameplates are taken."""

    async def nameplates(self, deadline: float) -> frozenset[str]:
        return frozenset()


class LooksOnce(Local):
    """Does not see what is announced later."""

    async def browse(self, nameplate: str) -> AsyncIterator[Endpoint]:
        if nameplate in await self.nameplates(0):
            async for endpoint in super().browse(nameplate):
                yield endpoint
        await asyncio.get_running_loop().create_future()


class GivesTwice(MemoryRooms):
    """Gives a nameplate to whoever asks for it."""

    async def open(self, wanted: str | None, token_hash: bytes, now: float) -> str:
        try:
            return await super().open(wanted, token_hash, now)
        except RoomTaken:
            assert wanted is not None
            return wanted


class DrawsTwice(MemoryRooms):
    """Draws the same nameplate again and again."""

    def _drawn(self) -> str:
        return "4821"


class InOrder(MemoryRooms):
    """Hands out the smallest nameplate that is free."""

    def _drawn(self) -> str:
        lengths = (range(1000, 1900), range(10_000, 99_999))
        return next(
            str(number) for numbers in lengths for number in numbers if self._is_free(str(number))
        )


class NoRest(MemoryRooms):
    """Draws what was just freed first of all."""

    async def close(self, nameplate: str, now: float) -> None:
        await super().close(nameplate, now - self.rest)
        self._freed = nameplate

    def _drawn(self) -> str:
        freed, self._freed = getattr(self, "_freed", ""), ""
        return freed if freed and self._is_free(freed) else super()._drawn()


class NoLimit(MemoryRooms):
    """Opens as many rooms as are asked for."""

    def __init__(self, settings: DriverSettings, max_rooms: int) -> None:
        super().__init__(settings, 1 << 40)


class ForgetsOwner(MemoryRooms):
    """Does not know whose a room is."""

    async def owner(self, nameplate: str) -> bytes | None:
        return b"?" * 32 if nameplate in self._open else None


BROKEN: tuple[tuple[Kind[Any], type, str], ...] = (
    (CIPHER, ShortTags, "sizes_are_sensible"),
    (CIPHER, LongTags, "sizes_are_sensible"),
    (CIPHER, HalfOfTheKey, "every_bit_of_the_key_counts"),
    (CIPHER, ClearsFirst, "records_are_sealed_in_place"),
    (CIPHER, ShiftsPieces, "records_are_sealed_in_place"),
    (CIPHER, WritesThroughGaps, "bad_outputs_are_refused"),
    (CIPHER, IgnoresReadOnly, "bad_outputs_are_refused"),
    (CIPHER, ConsumesInput, "inputs_are_only_read"),
    (CIPHER, NeedsWritable, "every_buffer_type_is_taken"),
    (CIPHER, FillsGaps, "gaps_are_refused_or_read"),
    (CIPHER, SealsGapsOnly, "gaps_are_refused_or_read"),
    (CIPHER, TakesGapsForForgery, "gaps_are_refused_or_read"),
    (HASH, DigestEnds, "a_digest_does_not_end_the_hash"),
    (HASH, PiecesMatter, "pieces_do_not_matter"),
    (HASH, RunsTogether, "contexts_are_apart"),
    (AUTHENTICATOR, RepeatsShare, "shares_do_not_repeat"),
    (AUTHENTICATOR, TellsTooEarly, "everything_is_bound"),
    (AUTHENTICATOR, ReadOnlyKey, "the_right_password_agrees"),
    (DISCOVERY, OutlivesContext, "announcement_ends"),
    (DISCOVERY, WrongNameplate, "announcement_is_found"),
    (DISCOVERY, FindsTheUnannounced, "announcement_is_found"),
    (DISCOVERY, SeesNobody, "announcement_is_found"),
    (DISCOVERY, LooksOnce, "later_announcement_is_found"),
    (ROOMS, GivesTwice, "wanted_nameplate_is_given_once"),
    (ROOMS, DrawsTwice, "nameplates_are_random"),
    (ROOMS, InOrder, "nameplates_are_random"),
    (ROOMS, NoRest, "freed_nameplate_rests"),
    (ROOMS, NoLimit, "limit_holds"),
    (ROOMS, ForgetsOwner, "wanted_nameplate_is_given_once"),
)


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    return DriverSettings(
        directories=Directories(
            *(tmp_path / part for part in ("config", "state", "data", "runtime"))
        )
    )


@pytest.mark.parametrize(
    ("kind", "driver", "check"),
    [pytest.param(*row, marks=pytest.mark.slow if row[1] is LooksOnce else ()) for row in BROKEN],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_kit_refuses_a_broken_driver(
    kind: Kind[Any],
    driver: type,
    check: str,
    settings: DriverSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded, "PATIENCE_SECONDS", 5.0)
    with pytest.raises(ConformanceError, match=f"{driver.__name__}, {check}"):
        run_checks(kind, driver, settings)
