"""Writes docs/reference/hooks.md and docs/reference/drivers.md out of the hook specs and the
contracts, whose docstrings they are, and the events of docs/reference/events.md out of their
classes.

`python docs/generate.py` writes them; a test compares. Everything said there is said in the source,
once.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from tallow_core import api, errors, event_fields, events, types
from tallow_core.registry import hookspecs
from tallow_core.registry.kinds import KINDS, Kind
from tallow_core.spi import (
    authority,
    byte_stream,
    connector,
    driver,
    readiness,
    socket_streams,
    sockets,
)
from tallow_core.spi.raises import RAISES
from tallow_core.testing.suite import CHECKS

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by docs/generate.py out of the source: change it there. -->\n"


def pages() -> dict[str, str]:
    """File name in docs/reference -> its content."""
    return {
        "hooks.md": _hooks(),
        "drivers.md": _drivers(),
        "events.md": _events(),
        "public-api.txt": _public(),
    }


# -- hooks ---------------------------------------------------------------------------------------


def _hooks() -> str:
    functions = [value for name, value in vars(hookspecs).items() if name.startswith("tallow_")]
    sections = [
        f"## {function.__name__}\n\n{_signature(function)}\n\n{_documentation(function)}\n"
        for function in functions
    ]
    return "\n".join((f"{_NOTE}\n# Hooks\n\n{_documentation(hookspecs)}\n", *sections))


# -- drivers -------------------------------------------------------------------------------------


def _drivers() -> str:
    shared = "\n".join(_class(driver.Driver, 3))
    head = (
        f"{_NOTE}\n# Drivers\n\n"
        "A plugin is a distribution with an entry point in the group of a kind: its name is the"
        " driver's, its value a module, perhaps\n"
        "with the extra that brings a library (`module [extra]`). The module hands over its"
        " classes through the [hook](hooks.md) of that\n"
        "kind. Each class implements the contract of the kind and passes its checks.\n"
        "[Your first plugin](../tutorial/first-plugin.md) builds one.\n\n"
        f"## Every kind\n\n{shared}"
    )
    return "\n".join((head, *(_kind(kind) for kind in KINDS), _network()))


def _network() -> str:
    """What network drivers are given, and the toolkit that they may use."""
    lines = [
        "## What network drivers share\n",
        "Types of `tallow_core.types`, and the streams and connectors of transports, proxies and"
        " resolvers.\n",
    ]
    for found in (types.Endpoint, types.SocketAddress, types.Trust, *_classes(byte_stream)):
        lines += _class(found, 3)
    for module in (connector, socket_streams, sockets, readiness, authority):
        lines += [f"### `{module.__name__}`\n", f"{_documentation(module)}\n"]
        for found in _classes(module):
            lines += _class(found, 4)
        functions = [
            each
            for name, each in vars(module).items()
            if inspect.isfunction(each) and each.__module__ == module.__name__ and name[0] != "_"
        ]
        lines += [f"{_signature(each)}\n\n{_documentation(each)}\n" for each in functions]
    return "\n".join(lines)


def _kind(kind: Kind[Any]) -> str:
    module_name, _, contract = kind.contract_path.partition(":")
    module = import_module(module_name)
    lines = [
        f"## {kind.name}\n",
        f"{_documentation(module)}\n",
        "| | |\n| --- | --- |",
        f"| entry-point group | `{kind.group}` |",
        f"| hook | `{kind.hook}` |",
        f"| contract | `{module_name}.{contract}` |\n",
    ]
    for found in _classes(module):
        lines += _class(found, 3)
    if checks := CHECKS[kind.name]:
        lines += ["### Checks\n", "| check | what it asks |\n| --- | --- |"]
        lines += [f"| `{check.__name__}` | {_one_line(check)} |" for check in checks]
        lines.append("")
    return "\n".join(lines)


def _classes(module: ModuleType) -> list[type]:
    """The public classes that a module defines, in their order."""
    return [
        each
        for name, each in vars(module).items()
        if inspect.isclass(each) and each.__module__ == module.__name__ and name[0] != "_"
    ]


def _class(found: type, level: int) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in found.__bases__ if base is not object)
    yield f"{'#' * level} {found.__name__}\n"
    yield f"```python\nclass {found.__name__}{f'({bases})' if bases else ''}\n```\n"
    yield f"{_documentation(found)}\n"
    if variables := inspect.get_annotations(found):
        bounds = vars(found).get("size_bounds", {})
        yield "| attribute | type | default | bounds |\n| --- | --- | --- | --- |"
        named = getattr(found, "_field_defaults", {})
        for name, hint in variables.items():
            hint = str(getattr(hint, "__forward_arg__", hint))
            value = (
                named.get(name, ...) if hasattr(found, "_fields") else vars(found).get(name, ...)
            )
            default = f"`{_shown(value)}`" if _is_plain(value) else ""
            bound = "{:,} to {:,}".format(*bounds[name]) if name in bounds else ""
            yield f"| `{name}` | `{hint.replace('|', chr(92) + '|')}` | {default} | {bound} |"
        yield ""
    for name, value in vars(found).items():
        if (
            (name[0] != "_" or name == "__init__")
            and _is_method(value)
            and _function(value).__doc__
        ):
            yield f"{_signature(value)}\n\n{_documentation(_function(value))}\n"
            if (errors := RAISES.get(f"{found.__name__}.{name}")) is not None:
                names = ", ".join(f"`{each.__name__}`" for each in errors)
                yield f"May raise: {names or 'nothing'}.\n"


def _shown(value: object) -> str:
    """The value as it is written; the order of a set is its own each time."""
    if isinstance(value, frozenset) and value:
        return f"frozenset({{{', '.join(sorted(map(repr, value)))}}})"
    return repr(value)


def _is_plain(value: object) -> bool:
    return value is not ... and not inspect.ismemberdescriptor(value)


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, classmethod | property)


def _function(value: Any) -> Callable[..., Any]:
    inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    assert callable(inner)
    return inner


# -- events --------------------------------------------------------------------------------------

_EVENTS_NOTE = (
    "<!-- What follows is written by docs/generate.py out of tallow_core/events.py. -->\n"
)
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
    """The page as it is up to the note, and a section for each event."""
    head = (REFERENCE / "events.md").read_text("utf-8").partition(_EVENTS_NOTE)[0]
    classes = {
        node.name: node
        for node in ast.parse(inspect.getsource(events)).body
        if isinstance(node, ast.ClassDef)
    }
    sections = [_event(name, classes[each.__name__]) for name, each in event_fields.EVENTS.items()]
    return "\n".join((head + _EVENTS_NOTE, *sections))


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
    """One line for each name of the public modules: classes with their fields, functions with their
    signatures."""
    lines = ["# Written by docs/generate.py: what tallow_core.api, .events and .errors hold."]
    for module in (api, events, errors):
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__
        ]
        lines += [
            f"{module.__name__}.{name}{_shape(getattr(module, name))}" for name in sorted(names)
        ]
    return "\n".join((*lines, ""))


def _shape(value: Any) -> str:
    if inspect.isfunction(value):
        signature = str(inspect.signature(value)).replace("'", "")
        return re.sub(r"<function (\w+) at \w+>", r"\1", signature)
    if issubclass(value, Exception):
        code, status = getattr(value, "code", ""), getattr(value, "exit_status", "")
        return f"({value.__bases__[0].__name__}) code={code} exit_status={status}"
    fields = getattr(value, "_fields", None)
    if fields is not None:
        hints = inspect.get_annotations(value)
        typed = (
            f"{name}: {getattr(hints[name], '__forward_arg__', hints[name])}" for name in fields
        )
        return f"({', '.join(typed)})"
    public = [
        f"{name}{_shape(member)}" if inspect.isfunction(member) else name
        for name, member in vars(value).items()
        if not name.startswith("_")
    ]
    return f" {{{'; '.join(public)}}}"


# -- text ----------------------------------------------------------------------------------------


def _signature(value: Any) -> str:
    """The first lines of a definition, without `self` or `cls`."""
    function = _function(value)
    signature = inspect.signature(function)
    parameters = [
        each for name, each in signature.parameters.items() if name not in ("self", "cls")
    ]
    marks = [
        mark
        for mark, there in (
            ("@classmethod", isinstance(value, classmethod)),
            ("@property", isinstance(value, property)),
        )
        if there
    ]
    word = "async def" if inspect.iscoroutinefunction(function) else "def"
    text = str(signature.replace(parameters=parameters)).replace("'", "")
    return "\n".join(("```python", *marks, f"{word} {function.__name__}{text}", "```"))


def _documentation(value: Any) -> str:
    return inspect.getdoc(value) or ""


def _one_line(value: Any) -> str:
    return " ".join(_documentation(value).split()).replace("|", "\\|")


def main() -> None:
    """Write the pages."""
    for name, content in pages().items():
        (REFERENCE / name).write_text(content, "utf-8")


if __name__ == "__main__":
    main()
