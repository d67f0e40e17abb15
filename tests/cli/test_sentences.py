"""The next steps of errors in the words of the command line."""

from __future__ import annotations

from typing import get_args

import pytest

from tallow_core.cli.views.sentences import STEPS, sentence
from tallow_core.errors import PolicyError, Step, TallowError


def test_every_step_has_its_words() -> None:
    assert set(STEPS) == set(get_args(Step))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TallowError("it is so."), "it is so"),
        (TallowError("waiting ..."), "waiting ..."),
        (
            PolicyError("nobody could reach this sender").then("name a way to be reached"),
            "nobody could reach this sender: name a relay (--relay URL) or an address (--listen"
            " HOST:PORT)",
        ),
        (
            PolicyError("p gives no address away").then("leave out the direct path", role="dial"),
            "p gives no address away, and dialling the sender (--at) does: leave it out, and name a"
            " relay with its pin",
        ),
        (
            PolicyError("a new one").then("make a longer code", words=5),
            "a new one, made with `tallow send --words 5`",
        ),
    ],
)
def test_a_sentence(error: TallowError, words: str) -> None:
    assert sentence(error) == words
