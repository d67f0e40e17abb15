"""The next steps of errors in the words of the command line."""

from __future__ import annotations

from typing import get_args

import pytest

from tallow_core.cli.views.sentences import STEPS, option_name, sentence, worded
from tallow_core.errors import NextStep, PolicyError, Step, TallowError


def test_every_step_has_its_words() -> None:
    assert set(STEPS) == set(get_args(Step))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TallowError("it is so"), "it is so"),
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


@pytest.mark.parametrize(
    ("step", "facts", "words"),
    [
        (
            "receive by the relay",
            {"relay": "tls://r:1#sha256=ab"},
            "On the other machine, run:  tallow receive --relay 'tls://r:1#sha256=ab'",
        ),
        (
            "receive by the same relay",
            {},
            "On the other machine, with the same relay, run:  tallow receive",
        ),
        (
            "receive at the address",
            {"address": "tls://192.0.2.1:7"},
            "On the other machine, run:  tallow receive --at tls://192.0.2.1:7",
        ),
        (
            "receive on this machine",
            {},
            "On this machine, run:  tallow receive\n(for another one, name a relay with --relay, or"
            " an address of yours with --listen)",
        ),
    ],
)
def test_what_the_other_side_is_to_do(step: Step, facts: dict[str, object], words: str) -> None:
    shown = worded("Waiting ...", NextStep(step, facts))
    assert shown == f"{words}\nand type the code there. Waiting ..."


def test_a_warning_with_a_step() -> None:
    assert worded("so it is", None) == "so it is"
    assert (
        worded("a part came into a{b} before", NextStep("go on there", {"output": "a{b}"}))
        == "a part came into a{b} before: to go on there, receive with --output a{b}"
    )


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("relay.only", "--relay-only"),
        ("relay.urls", "--relay"),
        ("choose.kem", "--kem"),
        ("plugin.set", "--set"),
        ("receive.unknown_size", "--unknown-size"),
    ],
)
def test_the_name_of_an_option(setting: str, option: str) -> None:
    assert option_name(setting) == option
