"""Reads well-formed words of our own commands, in a fraction of the time that it takes to import
cyclopts.

It works from what cyclopts works from, the signature of the function, and knows the few forms that
our commands have. Of anything else (an option that is not there, a value that is missing or no
number, `--help`) it says nothing: cyclopts then reads the same words
(`tallow_core.cli.args.cyclopts_parser`), and the help and all sentences about mistakes are its.
What both accept, both read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from functools import partial
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from tallow_core.cli.args.marks import Mark

_MAX_DIGITS = 15
"""Digits of a number: more than any setting allows, and none that a float would round."""


class _UnclearError(Exception):
    """The words, or the signature, are for cyclopts."""


class _Option(NamedTuple):
    """Sets the parameter `name`, or a field of that name where `group` is a parameter that holds
    several options."""

    group: str
    name: str
    hint: Any
    counted: bool


class _Shape(NamedTuple):
    """What a function takes: options by how they are written, groups of them, how many words by
    position (at least, if `variadic`)."""

    options: dict[str, _Option]
    groups: dict[str, Callable[..., Any]]
    positions: int
    variadic: bool
    hyphen: bool


def read(function: Callable[..., Any], words: list[str]) -> partial[Any] | None:
    """The call of `function` that `words` ask for; None if they, or its signature, are not
    plain."""
    try:
        return _read(function, words)
    except _UnclearError:
        return None


def _read(function: Callable[..., Any], words: list[str]) -> partial[Any]:
    shape = _shape(function)
    positional: list[str] = []
    own: dict[str, Any] = {}
    grouped: dict[str, dict[str, Any]] = {name: {} for name in shape.groups}
    rest = iter(words)
    for word in rest:
        if word == "--":
            positional += rest
        elif not word.startswith("-") or (word == "-" and shape.hyphen):
            positional.append(word)
        else:
            _take(shape.options, word, rest, grouped, own)
    if len(positional) < shape.positions or (
        len(positional) > shape.positions and not shape.variadic
    ):
        raise _UnclearError
    groups = {name: make(**grouped[name]) for name, make in shape.groups.items()}
    return partial(function, *positional, **own, **groups)


def _take(
    options: dict[str, _Option],
    word: str,
    rest: Iterator[str],
    grouped: dict[str, dict[str, Any]],
    own: dict[str, Any],
) -> None:
    """Enter the option that `word` begins, with a value that may be the next word."""
    name, equals, text = word.partition("=")
    times = 1
    if name not in options and len(set(name[1:])) == 1:  # -vv
        name, times = name[:2], len(name) - 1
    option = options.get(name)
    if option is None or (times > 1 and not option.counted):
        raise _UnclearError
    values = grouped[option.group] if option.group else own
    if option.counted or option.hint is bool:
        if equals or (option.name in values and not option.counted):
            raise _UnclearError
        values[option.name] = values.get(option.name, 0) + times if option.counted else True
        return
    if not equals:
        text = next(rest, "-")
    if text.startswith("-") or (equals and not name.startswith("--")):
        raise _UnclearError
    if option.hint == tuple[str, ...]:
        values[option.name] = (*values.get(option.name, ()), text)
    elif option.name in values:
        raise _UnclearError
    else:
        values[option.name] = _converted(option.hint, text)


def _converted(hint: Any, text: str) -> str | int | float:
    if hint is str or (get_origin(hint) is Literal and text in get_args(hint)):
        return text
    if hint in (int, float) and len(text) <= _MAX_DIGITS and text.isascii():
        if text.isdecimal():
            return int(text) if hint is int else float(text)
        if hint is float and text.replace(".", "", 1).isdecimal():
            return float(text)
    raise _UnclearError


def _shape(function: Callable[..., Any]) -> _Shape:
    options: dict[str, _Option] = {}
    groups: dict[str, Callable[..., Any]] = {}
    positions, variadic, hyphen = 0, False, False
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in signature(function).parameters.items():
        hint, mark = _plain(hints[name])
        if (
            parameter.kind is Parameter.KEYWORD_ONLY
            and isinstance(hint, type)
            and is_dataclass(hint)
        ):
            groups[name] = hint
            for field, its_hint in get_type_hints(hint, include_extras=True).items():
                _add(options, name, field, *_plain(its_hint))
        elif parameter.kind is Parameter.KEYWORD_ONLY:
            _add(options, "", name, hint, mark)
        elif (
            parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL) and hint is str
        ):
            variadic |= parameter.kind is Parameter.VAR_POSITIONAL
            positions += parameter.kind is Parameter.POSITIONAL_ONLY
            hyphen |= mark.hyphen
        else:
            raise _UnclearError
    return _Shape(options, groups, positions, variadic, hyphen)


def _add(options: dict[str, _Option], group: str, name: str, hint: Any, mark: Mark) -> None:
    for written in mark.names or (f"--{name.replace('_', '-')}",):
        options[written] = _Option(group, name, hint, mark.counted)


def _plain(hint: Any) -> tuple[Any, Mark]:
    """The type without None, and the mark."""
    mark = Mark()
    if get_origin(hint) is Annotated:
        hint, *metadata = get_args(hint)
        mark = next((each for each in metadata if isinstance(each, Mark)), mark)
    if get_origin(hint) in (UnionType, Union):
        members = [each for each in get_args(hint) if each is not NoneType]
        hint = members[0] if len(members) == 1 else hint
    return hint, mark
