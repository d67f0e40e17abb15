"""The alerts that end a handshake: one byte, not authenticated, so only a hint
(docs/protocol/codec.md)."""

from __future__ import annotations

from enum import IntEnum


class Alert(IntEnum):
    """Numbers of alerts; never reused."""

    FAILED = 1
    NO_SUITE = 2
    WRONG_NAMEPLATE = 3
    TAKEN = 4
    MALFORMED = 5
    TIMEOUT = 6
    VETOED = 7
    DISPLACED = 8
    VOID = 9
    VERSION = 10


SENTENCES = {
    Alert.FAILED: "the proof of the code failed; check the code, or ask for a new one",
    Alert.NO_SUITE: "the two sides share no suite that both policies allow",
    Alert.WRONG_NAMEPLATE: "nobody waits there under that number",
    Alert.TAKEN: "the code was already used",
    Alert.MALFORMED: "a message was malformed",
    Alert.TIMEOUT: "it waited too long",
    Alert.VETOED: "a plugin there refused",
    Alert.DISPLACED: "too many others were trying at the same time",
    Alert.VOID: "the code is void after too many wrong guesses",
    Alert.VERSION: "the two versions of the protocol do not fit",
}


def sentence(number: int) -> str:
    """The meaning of `number` for a person."""
    try:
        return SENTENCES[Alert(number)]
    except ValueError:
        return f"alert {number}"
