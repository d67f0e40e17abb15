"""Markdown of classes, functions and constants, out of their definitions and docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

from tallow_core.spi.raises import RAISES


class Constant(NamedTuple):
    """A name that a module assigns, the source of its value, and the docstring below it."""

    name: str
    source: str
    text: str


def constants(module: ModuleType) -> Iterator[Constant]:
    """The public constants and type aliases of a module that have a docstring, in their order."""
    body = ast.parse(inspect.getsource(module)).body
    for node, below in pairwise(body):
        target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        if isinstance(target, ast.Name) and target.id[0] != "_" and isinstance(below, ast.Expr):
            assert isinstance(below.value, ast.Constant)
            text = " ".join(str(below.value.value).split())
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            yield Constant(target.id, ast.unparse(node.value), text)


def classes(module: ModuleType) -> list[type]:
    """The public classes that a module defines, in their order."""
    return [
        each
        for name, each in vars(module).items()
        if inspect.isclass(each) and each.__module__ == module.__name__ and name[0] != "_"
    ]


def functions(module: ModuleType) -> list[Callable[..., Any]]:
    """The public functions that a module defines, in their order."""
    return [
        each
        for name, each in vars(module).items()
        if inspect.isfunction(each) and each.__module__ == module.__name__ and name[0] != "_"
    ]


def module_text(module: ModuleType, level: int, only: tuple[str, ...] = ()) -> Iterator[str]:
    """A section for a module: its constants, classes and functions; those of `only`, if any."""

    def is_wanted(name: str) -> bool:
        return not only or name in only

    yield f"{'#' * level} `{module.__name__}`\n"
    yield f"{documentation(module)}\n"
    if found := [each for each in constants(module) if is_wanted(each.name)]:
        yield from constant_table(found)
    for each in classes(module):
        if is_wanted(each.__name__):
            yield from class_text(each, level + 1)
    for function in functions(module):
        if is_wanted(function.__name__):
            yield f"{signature(function)}\n\n{documentation(function)}\n"


def constant_table(found: list[Constant]) -> Iterator[str]:
    """Names, values and meanings."""
    yield "| name | value | meaning |\n| --- | --- | --- |"
    for each in found:
        yield f"| `{each.name}` | `{_cell(each.source)}` | {_cell(each.text)} |"
    yield ""


def class_text(found: type, level: int) -> Iterator[str]:
    """A class: its definition, its attributes, its methods and what each may raise."""
    yield f"{'#' * level} {found.__name__}\n"
    yield f"```python\n{_head(found)}\n```\n"
    yield f"{documentation(found)}\n"
    if issubclass(found, Enum):
        yield f"Members: {', '.join(f'`{each}`' for each in found)}.\n"
    elif variables := inspect.get_annotations(found):
        yield from _attributes(found, variables)
    for name, value in vars(found).items():
        if _is_method(value) and _is_public(found, name, _function(value)):
            yield f"{signature(value)}\n"
            if text := documentation(_function(value)):
                yield f"{text}\n"
            if (errors := RAISES.get(f"{found.__name__}.{name}")) is not None:
                names = ", ".join(f"`{each.__name__}`" for each in errors)
                yield f"May raise: {names or 'nothing'}.\n"


def _is_public(found: type, name: str, function: Callable[..., Any]) -> bool:
    """Constructors that are written, and methods with a docstring; not those of another class,
    which only repeat its contract."""
    if name == "__init__":
        return function.__code__.co_filename == inspect.getsourcefile(found)
    text = documentation(function)
    return name[0] != "_" and bool(text) and not re.fullmatch(r"See `[\w.]+`\.", text)


def _head(found: type) -> str:
    """The line that defines a class."""
    if hasattr(found, "_fields"):
        return f"class {found.__name__}(NamedTuple)"
    bases = ", ".join(base.__name__ for base in found.__bases__ if base is not object)
    parameters: Any = getattr(found, "__dataclass_params__", None)
    mark = ""
    if parameters is not None:
        mark = "@dataclass(frozen=True)\n" if parameters.frozen else "@dataclass\n"
    return f"{mark}class {found.__name__}{f'({bases})' if bases else ''}"


def _attributes(found: type, variables: dict[str, Any]) -> Iterator[str]:
    bounds = vars(found).get("size_bounds", {})
    yield "| attribute | type | default | bounds |\n| --- | --- | --- | --- |"
    for name, hint in variables.items():
        hint = str(getattr(hint, "__forward_arg__", hint))
        value = _default(found, name)
        default = "" if value is ... else f"`{_cell(_shown(value))}`"
        bound = "{:,} to {:,}".format(*bounds[name]) if name in bounds else ""
        yield f"| `{name}` | `{_cell(hint)}` | {default} | {bound} |"
    yield ""


def _default(found: type, name: str) -> object:
    """The default of a field or class variable, or an ellipsis."""
    if hasattr(found, "_fields"):
        return getattr(found, "_field_defaults", {}).get(name, ...)
    fields: Any = getattr(found, "__dataclass_fields__", {})
    if name in fields:
        return (
            ...
            if fields[name].default.__class__.__name__ == "_MISSING_TYPE"
            else (fields[name].default)
        )
    value = vars(found).get(name, ...)
    return ... if inspect.ismemberdescriptor(value) else value


def _shown(value: object) -> str:
    """The value as it is written; the order of a set is its own each time."""
    if isinstance(value, frozenset) and value:
        return f"frozenset({{{', '.join(sorted(map(repr, value)))}}})"
    return repr(value)


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, classmethod | property)


def _function(value: Any) -> Callable[..., Any]:
    inner = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    assert callable(inner)
    return inner


def signature(value: Any) -> str:
    """The first lines of a definition. What a driver has to write is marked `@abstractmethod`."""
    function = _function(value)
    marks = [
        mark
        for mark, there in (
            ("@classmethod", isinstance(value, classmethod)),
            ("@property", isinstance(value, property)),
            ("@contextmanager", inspect.isgeneratorfunction(getattr(function, "__wrapped__", 0))),
            ("@abstractmethod", getattr(function, "__isabstractmethod__", False)),
        )
        if there
    ]
    word = "async def" if inspect.iscoroutinefunction(function) else "def"
    text = re.sub(r"<function (\w+) at \w+>", r"\1", str(inspect.signature(function)))
    text = text.replace("'", "")
    return "\n".join(("```python", *marks, f"{word} {function.__name__}{text}", "```"))


def documentation(value: Any) -> str:
    """The docstring, without its indentation."""
    return inspect.cleandoc(value.__doc__ or "")


def one_line(value: Any) -> str:
    """The docstring as one line of a table."""
    return _cell(" ".join(documentation(value).split()))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
