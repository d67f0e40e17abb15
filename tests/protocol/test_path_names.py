"""T-02: names and trees that no receiver takes, and the order that shows it without remembering
them."""

from __future__ import annotations

import tracemalloc
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.errors import RemoteProtocolError
from tallow_core.protocol.transfer.path_names import (
    MAX_DEPTH,
    TreeOrder,
    check_component,
    check_path,
    fold,
)
from tallow_core.text import printable
from tests.kit.corpus import ORDINARY, PATHS, TREES, Entry, Path

_ALL_PATHS = [
    pytest.param(path, id=f"{group}-{number}")
    for group, paths in PATHS.items()
    for number, path in enumerate(paths)
]
_ALL_TREES = [
    pytest.param(tree, id=f"{group}-{number}")
    for group, trees in TREES.items()
    for number, tree in enumerate(trees)
]

_CHARACTERS = st.characters(codec="utf-8", min_codepoint=0x20)
_ACCEPTABLE = st.text(_CHARACTERS, min_size=1).filter(lambda name: check_component(name) is None)


def _distinct() -> int:
    return len({path for paths in PATHS.values() for path in paths}) + sum(map(len, TREES.values()))


def test_t02_the_corpus_is_large_enough() -> None:
    assert _distinct() >= 200


@pytest.mark.parametrize("path", _ALL_PATHS)
def test_t02_hostile_path_is_refused(path: Path) -> None:
    assert check_path(path) is not None


@pytest.mark.parametrize("path", _ALL_PATHS)
def test_t02_hostile_path_is_refused_in_a_tree_and_named_safely(path: Path) -> None:
    order = TreeOrder()
    for depth in range(1, min(len(path), MAX_DEPTH)):
        if check_path(path[:depth]) is None:
            order.place(path[:depth], True)
    with pytest.raises(RemoteProtocolError) as caught:
        order.place(path, False)
    assert printable(str(caught.value)) == str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("tree", _ALL_TREES)
def test_t02_hostile_tree_is_refused_at_its_last_entry(tree: list[Entry]) -> None:
    assert check_path(tree[-1].path) is None
    order = TreeOrder()
    for entry in tree[:-1]:
        order.place(entry.path, entry.directory)
    with pytest.raises(RemoteProtocolError):
        order.place(tree[-1].path, tree[-1].directory)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_name_is_taken(name: str) -> None:
    assert check_component(name) is None
    TreeOrder().place((name,), False)


def test_limits_are_exact() -> None:
    assert check_component("a" * 255) is None
    assert check_path(("a",) * 64) is None
    assert check_path(("a",) * 65) is not None
    longest = ("b" * 255,) * 16
    assert len("/".join(longest)) == 4095
    assert check_path(longest) is None
    assert check_path((*("b" * 254 for _ in range(15)), "b" * 255, "b" * 15)) is None
    assert check_path((*("b" * 255 for _ in range(16)), "b")) is not None


def test_a_whole_tree_in_order_is_taken() -> None:
    order = TreeOrder()
    for path, directory in [
        (("A",), True),
        (("A", "x"), False),
        (("A", "y"), True),
        (("A", "y", "z"), False),
        (("b",), False),
        (("\u00e9",), False),
        (("foo",), True),
        (("foo", "x"), False),
        (("foobar",), True),
        (("foobar", "x"), False),
        (("\u65e5",), False),
    ]:
        order.place(path, directory)


def test_a_refused_entry_changes_nothing() -> None:
    order = TreeOrder()
    order.place(("d",), True)
    order.place(("d", "b"), False)
    with pytest.raises(RemoteProtocolError):
        order.place(("d", "a"), False)
    order.place(("d", "c"), False)


def test_memory_does_not_grow_with_the_number_of_entries() -> None:
    order = TreeOrder()
    order.place(("d",), True)
    tracemalloc.start()
    try:
        for number in range(20_000):
            order.place(("d", f"{number:08}"), False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


@settings(deadline=None)
@given(st.text())
def test_fold_is_the_same_for_all_that_may_be_one_file(name: str) -> None:
    key = fold(name)
    assert fold(key) == key
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, name)) == key
    assert fold(name.casefold()) == key


@settings(deadline=None)
@given(st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)))
def test_sorted_by_fold_is_taken_in_any_script(names: set[str]) -> None:
    good = {fold(name): name for name in names if check_component(name) is None}
    order = TreeOrder()
    for key in sorted(good):
        order.place((good[key],), False)


@settings(deadline=None)
@given(_ACCEPTABLE, _ACCEPTABLE)
def test_two_names_never_pass_in_the_wrong_order(one: str, other: str) -> None:
    first, second = sorted((one, other), key=fold, reverse=True)
    order = TreeOrder()
    order.place((first,), False)
    with pytest.raises(RemoteProtocolError):
        order.place((second,), False)
