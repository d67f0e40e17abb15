"""Writes the generated pages of docs/reference.

`python docs/generate.py` writes them; a test compares. What they say is said once, in the
docstrings of hook specs, contracts, types, errors, events and the conformance kit.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

from tallow_core import (
    api,
    directories,
    errors,
    event_fields,
    events,
    plugin_settings,
    private_files,
    secrets,
    text,
    types,
)
from tallow_core.registry import hookspecs
from tallow_core.registry.kinds import KINDS, Kind
from tallow_core.spi import (
    authority,
    byte_stream,
    connector,
    driver,
    interface_addresses,
    readiness,
    socket_streams,
    sockets,
)
from tallow_core.spi.raises import RAISES
from tallow_core.testing import (
    expect,
    fake_discovery,
    fake_nat,
    fake_network,
    fakes,
    hooks,
    links,
    memory_transport,
    subjects,
    suite,
)

sys.path.append(str(Path(__file__).parents[1]))
from docs.source_text import (
    class_text,
    classes,
    constant_table,
    constants,
    documentation,
    module_text,
    one_line,
    signature,
)

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- What follows is written by docs/generate.py out of the source. -->\n"


def _head(page: str) -> str:
    """The page as it is up to the note: prose, which is written there."""
    return (REFERENCE / page).read_text("utf-8").partition(_NOTE)[0] + _NOTE


def pages() -> dict[str, str]:
    """File name in docs/reference -> its content."""
    return {
        "hooks.md": _hooks(),
        "drivers.md": _drivers(),
        "toolkit.md": _toolkit(),
        "errors.md": _errors(),
        "kit.md": _kit(),
        "events.md": _events(),
        "public-api.txt": _public(),
    }


# -- hooks ---------------------------------------------------------------------------------------


def _hooks() -> str:
    functions = [value for name, value in vars(hookspecs).items() if name.startswith("tallow_")]
    sections = [
        f"### {function.__name__}\n\n{signature(function)}\n\n{documentation(function)}\n"
        for function in functions
    ]
    return "\n".join((_head("hooks.md"), *sections))


# -- drivers -------------------------------------------------------------------------------------


def _drivers() -> str:
    shared = "\n".join(("## Every kind\n", *class_text(driver.Driver, 3)))
    return "\n".join((_head("drivers.md"), shared, *map(_kind, KINDS)))


def _kind(kind: Kind[Any]) -> str:
    module_name, _, contract = kind.contract_path.partition(":")
    module = import_module(module_name)
    lines = [
        f"## {kind.name}\n",
        f"{documentation(module)}\n",
        "| | |\n| --- | --- |",
        f"| entry-point group | `{kind.group}` |",
        f"| hook | `{kind.hook}` |",
        f"| contract | `{module_name}.{contract}` |",
        f"| in `[policy]` | `{kind.plural}` |\n",
    ]
    if found := list(constants(module)):
        lines += constant_table(found)
    for each in classes(module):
        lines += class_text(each, 3)
    if checks := suite.CHECKS[kind.name]:
        lines += ["### Checks\n", "| check | what it asks |\n| --- | --- |"]
        lines += [f"| `{check.__name__}` | {one_line(check)} |" for check in checks]
        lines.append("")
    return "\n".join(lines)


# -- what drivers are given and may use ----------------------------------------------------------


def _toolkit() -> str:
    parts = [
        module_text(types, 2),
        module_text(plugin_settings, 2),
        module_text(directories, 2, ("Directories",)),
        *(
            module_text(each, 2)
            for each in (
                byte_stream,
                connector,
                socket_streams,
                sockets,
                readiness,
                authority,
                interface_addresses,
                secrets,
            )
        ),
        module_text(text, 2, ("printable",)),
        module_text(private_files, 2, ("ensure_private", "replace_file")),
    ]
    return "\n".join((_head("toolkit.md"), *(line for part in parts for line in part)))


# -- errors --------------------------------------------------------------------------------------


def _errors() -> str:
    rows = [
        "| class | code | exit status | meaning | who may raise it |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += _error_rows(errors.TallowError, 0)
    alert = "\n".join(class_text(errors.RemoteProtocolError, 2))
    return "\n".join((_head("errors.md"), *rows, "", alert))


def _error_rows(found: type[errors.TallowError], depth: int) -> Iterator[str]:
    raised = [method for method, allowed in RAISES.items() if found in allowed]
    who = ", ".join(f"`{method}`" for method in raised)
    indent = "&emsp;" * depth
    yield (
        f"| {indent}`{found.__name__}` | `{found.code}` | {found.exit_status}"
        f" | {one_line(found)} | {who} |"
    )
    for each in found.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from _error_rows(each, depth + 1)


# -- the conformance kit -------------------------------------------------------------------------


def _kit() -> str:
    parts = [
        module_text(suite, 2, ("BUILT_WITH_SETTINGS", "Check", "checks_of", "run_checks")),
        module_text(subjects, 2, ("scratch",)),
        *(
            module_text(each, 2)
            for each in (
                hooks,
                expect,
                fakes,
                fake_network,
                fake_nat,
                fake_discovery,
                memory_transport,
                links,
            )
        ),
    ]
    return "\n".join((_head("kit.md"), *(line for part in parts for line in part)))


# -- events --------------------------------------------------------------------------------------

_JSON_TYPES = {
    "str": "string",
    "str | None": "string or null",
    "int": "integer",
    "int | None": "integer or null",
    "bool": "boolean",
    "float": "number",
    "tuple[str, ...]": "list of strings",
    "tuple[LeftOut, ...]": "list of objects",
    "tuple[RenamedFile, ...] | None": "list of names",
    "tuple[Mapping[str, Any], ...]": "list of rules",
    "tuple[str, ...] | None": "list of strings",
    "tuple[Mapping[str, Any], ...] | None": "list of options",
    "Mapping[str, Any]": "object",
    "SuiteAgreed": "object of strings",
}


def _events() -> str:
    classes = {
        node.name: node
        for node in ast.parse(inspect.getsource(events)).body
        if isinstance(node, ast.ClassDef)
    }
    sections = [_event(name, classes[each.__name__]) for name, each in event_fields.EVENTS.items()]
    return "\n".join((_head("events.md"), *sections))


def _event(name: str, source: ast.ClassDef) -> str:
    text = inspect.cleandoc(ast.get_docstring(source) or "")
    lines = [f"## {name}", "", text, "", "| field | type | meaning |", "| --- | --- | --- |"]
    fields = [node for node in source.body if isinstance(node, ast.AnnAssign)]
    for field in fields:
        assert isinstance(field.target, ast.Name)
        if field.target.id == event_fields.UNFOLDED:
            continue
        meaning = source.body[source.body.index(field) + 1]
        assert isinstance(meaning, ast.Expr)
        assert isinstance(meaning.value, ast.Constant)
        json_name = event_fields.JSON_NAMES.get(field.target.id, field.target.id)
        text = " ".join(str(meaning.value.value).split())
        lines.append(f"| `{json_name}` | {_json_type(field.annotation)} | {text} |")
    return "\n".join((*lines, ""))


def _json_type(annotation: ast.expr) -> str:
    if not isinstance(annotation, ast.Subscript) or ast.unparse(annotation.value) != "Annotated":
        return _JSON_TYPES[ast.unparse(annotation)]
    assert isinstance(annotation.slice, ast.Tuple)
    hint, where = annotation.slice.elts
    assert isinstance(where, ast.Constant)
    assert isinstance(where.value, str)
    json_type = _JSON_TYPES[ast.unparse(hint)].removesuffix(" or null")
    return f"{json_type}, {where.value}"


# -- what programs may use -----------------------------------------------------------------------


def _public() -> str:
    """One line for each name of the public modules: classes with their fields, attributes,
    properties and methods, functions with their signatures, aliases with their types."""
    lines = ["# Written by docs/generate.py: what tallow_core.api, .events and .errors hold."]
    for module in (api, events, errors):
        names = getattr(module, "__all__", None) or [
            *_aliases(module),
            *(
                name
                for name, value in vars(module).items()
                if getattr(value, "__module__", "") == module.__name__
            ),
        ]
        lines += [
            f"{module.__name__}.{name}{_shape(getattr(module, name))}" for name in sorted(names)
        ]
    return "\n".join((*lines, ""))


def _aliases(module: ModuleType) -> list[str]:
    """The public names of types that a module gives."""
    hints = inspect.get_annotations(module)
    return [name for name, hint in hints.items() if hint == "TypeAlias" and name[0] != "_"]


def _shape(value: Any) -> str:
    if inspect.isfunction(value):
        signature = str(inspect.signature(value)).replace("'", "")
        return re.sub(r"<function (\w+) at \w+>", r"\1", signature)
    if not isinstance(value, type) or get_origin(value) is not None:
        text = str(value)
        if value is not events.Event:
            text = text.replace(repr(events.Event), "Event")
        return f" = {re.sub(r'[a-z_.]+[.](?=[A-Z])', '', text)}"
    if issubclass(value, Exception):
        code, status = getattr(value, "code", ""), getattr(value, "exit_status", "")
        head = f"({value.__bases__[0].__name__}) code={code} exit_status={status}"
        return f"{head}{_members(value, ('code', 'exit_status'))}"
    fields = getattr(value, "_fields", None)
    if fields is not None:
        hints = inspect.get_annotations(value)
        typed = (
            f"{name}: {getattr(hints[name], '__forward_arg__', hints[name])}" for name in fields
        )
        return f"({', '.join(typed)}){_members(value, fields)}"
    return _members(value)


def _members(value: type, known: Sequence[str] = ()) -> str:
    """Attributes with their types, properties and methods of a class, but for those that are
    `known`."""
    found = dict(_attributes(value))
    for name, member in vars(value).items():
        found.setdefault(name, _member(member))
    public = [
        f"{name}{text}" for name, text in found.items() if name[0] != "_" and name not in known
    ]
    return f" {{{'; '.join(public)}}}" if public else ""


def _member(member: Any) -> str:
    if isinstance(member, property):
        assert member.fget is not None
        return f": {inspect.get_annotations(member.fget)['return']}"
    function = getattr(member, "__func__", member)
    return _shape(function) if inspect.isfunction(function) else ""


def _attributes(value: type) -> Iterator[tuple[str, str]]:
    """What the body of a class states with a type, and what its methods set on `self`."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(source, ast.ClassDef)
    for node in ast.walk(source):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        hint = f": {ast.unparse(node.annotation)}" if isinstance(node, ast.AnnAssign) else ""
        for target in targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                yield target.attr, hint
            elif isinstance(target, ast.Name) and node in source.body and hint:
                yield target.id, hint


def main() -> None:
    """Write the pages."""
    for name, content in pages().items():
        (REFERENCE / name).write_text(content, "utf-8")


if __name__ == "__main__":
    main()
