"""Code phrases: read as people type them, and never repeated."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import UsageError
from tallow_core.protocol.handshake.code import (
    MAX_SECRET_CHARACTERS,
    MAX_WORDS,
    MIN_CUSTOM_CHARACTERS,
    MIN_WORDS,
    Code,
    draw_nameplate,
    make_code,
    parse_code,
    words,
)
from tallow_core.secrets import below

CODE = Code("4821", "stamp-daybreak-kindred", custom=False)


def test_the_list_of_words() -> None:
    """EFF's large list of 7,776 words without the four that hold a hyphen; 38.77 bits for three."""
    listed = words()
    assert len(listed) == len(set(listed)) == 7772
    assert list(listed) == sorted(listed)
    assert all(
        word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 9
        for word in listed
    )
    assert not {"t-shirt", "yo-yo", "felt-tip", "drop-down"} & set(listed)


@pytest.mark.parametrize(
    "text",
    [
        "4821-stamp-daybreak-kindred",
        "4821-Stamp-DAYBREAK-kindred",
        "4821 stamp daybreak kindred",
        "  4821  stamp   daybreak - kindred \n",
        "4821-stamp daybreak-kindred",
        "4821--stamp--daybreak--kindred-",
        "4821\tstamp\tdaybreak\tkindred",
        "4821-stamp\u00a0daybreak\u3000kindred",
    ],
)
def test_case_spaces_and_hyphens_are_folded(text: str) -> None:
    assert parse_code(text) == CODE


@settings(max_examples=200)
@given(st.integers(1000, 10**10 - 1), st.lists(st.sampled_from(words()), min_size=3, max_size=16))
def test_what_is_shown_can_be_typed(nameplate: int, chosen: list[str]) -> None:
    code = Code(str(nameplate), "-".join(chosen), custom=False)
    assert (
        parse_code(code.phrase)
        == parse_code(code.phrase.upper())
        == parse_code(code.phrase.replace("-", " "))
        == code
    )


@pytest.mark.parametrize("count", [MIN_WORDS, 4, MAX_WORDS])
def test_a_made_code_is_read_again(count: int) -> None:
    code = make_code("4821", count, below)
    assert parse_code(code.phrase) == code
    assert len(code.secret.split("-")) == count
    assert not code.custom
    assert code.guesses == 100
    assert code.password == code.secret.encode()


def test_words_are_drawn_uniformly_from_the_whole_list() -> None:
    limits: list[int] = []
    draws = iter([0, 7771, 0])

    def draw(limit: int) -> int:
        limits.append(limit)
        return next(draws)

    assert make_code("4821", 3, draw).secret == f"{words()[0]}-{words()[-1]}-{words()[0]}"
    assert limits == [7772] * 3
    assert len({make_code("4821", 3, below).secret for _ in range(100)}) == 100


@pytest.mark.parametrize("count", [-1, 0, 1, 2, 17, 1000])
def test_a_code_has_three_to_sixteen_words(count: int) -> None:
    with pytest.raises(UsageError):
        make_code("4821", count, below)


def test_a_nameplate_without_a_relay_has_six_digits_and_avoids_others() -> None:
    draws = iter([0, 1, 899_999])
    assert draw_nameplate(lambda _limit: next(draws), frozenset({"100000", "100001"})) == "999999"
    assert all(100_000 <= int(draw_nameplate(below, frozenset())) <= 999_999 for _ in range(100))


@pytest.mark.parametrize(
    "nameplate",
    [
        "",
        "0",
        "123",
        "0821",
        "12345678901",
        "48a1",
        "\u0664\u0668\u0662\u0661",
        "-4821",
        "+4821",
        "4_821",
    ],
)
def test_a_nameplate_that_is_none(nameplate: str) -> None:
    with pytest.raises(UsageError):
        parse_code(f"{nameplate}-stamp-daybreak-kindred")


@pytest.mark.parametrize("nameplate", ["1000", "9999", "1234567890"])
def test_nameplates_within_bounds(nameplate: str) -> None:
    assert parse_code(f"{nameplate}-stamp-daybreak-kindred").nameplate == nameplate


def test_a_secret_of_ones_own_is_kept_as_typed_in_nfc() -> None:
    code = parse_code("4821-Mein  Geheimnis ist caf\u0065\u0301!")
    assert code == Code("4821", "Mein  Geheimnis ist caf\u00e9!", custom=True)
    assert code.guesses == 10
    assert code.password == "Mein  Geheimnis ist caf\u00e9!".encode()
    assert parse_code(code.phrase) == code


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "-",
        " ",
        "x",
        "stamp",
        "stamp-daybreak"[:13],
        "a" * 13,
        "\u00e9" * 13,
        "e\u0301" * 13,
        "stamp-rug",
        "    padded-13-chars"[:16],
    ],
)
def test_t11_a_secret_below_the_floor_is_refused(secret: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_code(f"4821-{secret}")
    assert caught.value.exit_status == 2


def test_t11_the_floor_itself() -> None:
    assert MIN_CUSTOM_CHARACTERS == 14
    assert parse_code("4821-" + "abcdefghijklmn").custom
    assert parse_code("4821-" + "x" * MAX_SECRET_CHARACTERS).custom
    for secret in (
        "x" * (MAX_SECRET_CHARACTERS + 1),
        "a control\x07character",
        "an escape \x1b[31m in it",
        "a bidi \u202e override",
        "lone \ud800 surrogate",
    ):
        with pytest.raises(UsageError) as caught:
            parse_code("4821-" + secret)
        assert str(caught.value).isprintable()


def test_too_many_words_are_refused() -> None:
    assert len(parse_code("4821-" + "-".join(["stamp"] * 16)).secret.split("-")) == 16
    with pytest.raises(UsageError):
        parse_code("4821-" + "-".join(["stamp"] * 17))


@pytest.mark.parametrize("phrase", ["4821-stamp-daybreak-kindred", "4821-my own long secret"])
def test_t10_the_words_are_in_no_representation(phrase: str) -> None:
    code = parse_code(phrase)
    for text in (repr(code), str(code), f"{code}", repr([code]), f"{code!r:>10}"):
        assert code.secret not in text
        assert "stamp" not in text
        assert "secret" not in text.replace("custom", "")


@pytest.mark.parametrize(
    "phrase",
    [
        "482-stamp-daybreak-kindred",
        "stamp-daybreak-kindred",
        "4821-stamp-kindred",
        "4821-sesame",
        "4821-" + "-".join(["stamp"] * 17),
        "4821-" + "sesame" * 100,
        "4821-sesame\x1b sesame sesame",
    ],
)
def test_t10_no_error_repeats_the_words(phrase: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_code(phrase)
    text = str(caught.value).replace("4821-stamp-daybreak-kindred", "")  # the example in the advice
    for word in ("stamp", "kindred", "sesame"):
        assert word not in text
    assert caught.value.__cause__ is None
    assert "sesame" not in "".join(traceback.format_exception_only(caught.value))


ANYTHING = st.one_of(
    st.text(max_size=60), st.text(min_size=12, max_size=40).map(lambda text: f"4821-{text}")
)


@settings(max_examples=500)
@given(ANYTHING)
def test_anything_typed_is_a_code_or_a_usage_error(text: str) -> None:
    said = ""
    try:
        code = parse_code(text)
    except UsageError as error:
        said = str(error)
    else:
        assert parse_code(code.phrase) == code
        assert code.secret.isprintable()
        assert code.custom
        assert len(code.secret) >= MIN_CUSTOM_CHARACTERS
    assert said == "" or said.isprintable()
