"""The contract of a password-authenticated key exchange (PAKE)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from tallow_core.spi.driver import Driver
from tallow_core.types import ReadBuffer, Role


class Authenticator(Driver):
    """One run of a balanced PAKE of one message each way; the guest's share travels first.

    `share_size` is in bytes. The key that `finish` returns is equal on both ends only if password, session id, channel and both
    associated data were; it is not confirmed yet: the session does that over its whole transcript.
    """

    share_size: ClassVar[int]

    @abstractmethod
    def __init__(self, role: Role, password: ReadBuffer, session_id: bytes, channel: bytes) -> None:
        """Begin a run with fresh randomness. `channel` binds the run to its surroundings (CPace: CI)."""

    @property
    @abstractmethod
    def share(self) -> bytes:
        """What travels to the other end, `share_size` bytes."""

    @abstractmethod
    def finish(self, peer_share: ReadBuffer) -> bytearray:
        """Return the intermediate key. May be called once.

        A share of the wrong length, one that encodes a low-order point, or one equal to our own is an `AuthenticationError`.
        """
