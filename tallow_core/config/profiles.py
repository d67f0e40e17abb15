"""Profiles: named bundles of what policy asks for, chosen by `[policy] profile`, and the limits
that they set to a session.

A profile narrows and never widens: a setting of the user's may be stricter than it, and stays so.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

ProfileName: TypeAlias = Literal["default", "nist", "fast", "paranoid"]

_GIB = 1 << 30


class Limits(NamedTuple):
    """How a session is held, beside the drivers it uses.

    `words` is the least number of words of a code, made or accepted (more than 3: custom secrets
    are refused too); `guesses` the most wrong proofs of one code; `pinned` asks for relays with a
    pin only; `hidden` says that no address of this machine is given away: no listener, no discovery
    on this machine; `padded` that record sizes are hidden, `safety_number` that a person compares
    one before anything is offered or accepted; `rekey_bytes` and `rekey_seconds` bound what one run
    of the KEM protects.
    """

    words: int = 3
    guesses: int = 100
    pinned: bool = False
    hidden: bool = False
    padded: bool = False
    safety_number: bool = False
    rekey_bytes: int = 256 * _GIB
    rekey_seconds: float = 3600.0


class Profile(NamedTuple):
    """`require`: labels in addition to `[policy] require`; `only`: kind -> the drivers it admits,
    best first."""

    require: tuple[str, ...] = ()
    only: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    limits: Limits = Limits()


PROFILES: Mapping[ProfileName, Profile] = MappingProxyType(
    {
        "default": Profile(),
        "nist": Profile(
            only=MappingProxyType(
                {
                    "cipher": ("aes-256-gcm",),
                    "kem": ("ml-kem-1024",),
                    "hash": ("sha3-256",),
                    "signature": ("ml-dsa-87",),
                }
            )
        ),
        "fast": Profile(),
        "paranoid": Profile(
            require=("hybrid", "post-quantum"),
            # How well something compresses says what it is like, and padding hides that only if
            # nothing is compressed.
            only=MappingProxyType({"compressor": ("none",)}),
            limits=Limits(
                words=5,
                guesses=10,
                pinned=True,
                hidden=True,
                padded=True,
                safety_number=True,
                rekey_bytes=16 * _GIB,
                rekey_seconds=600.0,
            ),
        ),
    }
)
