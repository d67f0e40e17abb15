"""Reading a config file: its text, and the settings in it, of the right types and in range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tallow_core.config import plugin_options
from tallow_core.config.ranges import fault
from tallow_core.config.schema import SECTIONS, Condition, Rule
from tallow_core.errors import ConfigError
from tallow_core.text import nearest, printable


def hints_of(section: str) -> dict[str, Any]:
    """Dotted name -> type, for the fields of `section`."""
    hints = get_type_hints(SECTIONS[section])
    return {f"{section}.{name}": hints[name] for name in SECTIONS[section]._fields}


def read_file(file: Path) -> bytes:
    """The content of a config file; raises `ConfigError`."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the config file {printable(str(file))} cannot be read: {error.strerror}"
        ) from error


def settings_in(content: bytes, where: str) -> dict[str, object]:
    """The settings that `content` states, by dotted name, of the right types and in range; a
    `ConfigError` names the file as `where`."""
    import tomllib

    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the config file {where} is no TOML: {printable(str(error))}") from error
    return {
        name: value
        for section, table in document.items()
        for name, value in _read_table(where, section, table)
    }


def _read_table(where: str, section: str, table: object) -> Iterable[tuple[str, object]]:
    if section == plugin_options.SECTION:
        yield section, plugin_options.tables_in(where, table)
        return
    if section not in SECTIONS:
        known = [*SECTIONS, plugin_options.SECTION]
        raise ConfigError(
            f"{where}: there is no section [{printable(section)}]{nearest(section, known)}"
        )
    if not isinstance(table, dict):
        raise ConfigError(
            f"{where}: {section} is a section: write [{section}] and its settings below"
        )
    hints = hints_of(section)
    for key, value in table.items():
        name = f"{section}.{key}"
        if name not in hints:
            known = [known.partition(".")[2] for known in hints]
            raise ConfigError(
                f"{where}: there is no setting {printable(key)} in [{section}]{nearest(key, known)}"
            )
        yield name, _converted(where, name, value, hints[name])


def _converted(where: str, name: str, value: object, hint: Any) -> object:
    import msgspec

    section, _, key = name.partition(".")
    try:
        converted: object = msgspec.convert(value, hint)
        if name == "policy.rule":
            _refuse_unknown(where, value)
    except msgspec.ValidationError as error:
        known = get_args(hint) if get_origin(hint) is Literal else ()
        near = f"{nearest(str(value), known)}; there are {', '.join(known)}" if known else ""
        raise ConfigError(f"{where}: [{section}] {key}: {printable(str(error))}{near}") from error
    if wrong := fault(name, converted):
        raise ConfigError(f"{where}: [{section}] {key} {wrong}")
    return converted


def _refuse_unknown(where: str, rules: Any) -> None:
    """A mistyped key of a rule would otherwise narrow nothing."""
    for number, rule in enumerate(rules, 1):
        for table, kind, path in ((rule, Rule, ""), (rule.get("when", {}), Condition, " when")):
            known = [item.name for item in fields(kind)]
            for key in table:
                if key not in known:
                    text = (
                        f"there is no setting {printable(key)} in [[policy.rule]]{path}, rule"
                        f" {number}"
                    )
                    raise ConfigError(f"{where}: {text}{nearest(key, known)}")
