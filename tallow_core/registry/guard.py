"""Guards the drivers of other distributions while they are used. An error of such a driver names
its plugin.

`guarded` makes a class that stands before the driver's class. Its methods are those of the
contract. Each calls the driver's method, and lets only the results and errors through that the
contract has (`tallow_core.spi.raises`, the annotations, `result_sizes`). The objects that a driver
hands out (streams, listeners, hashers, runs, iterators, contexts) are guarded in the same way.
Everything else is a `PluginFault`. The cost is one call in Python for each call of a method; no
byte is looked at.

Tallow's own drivers are not guarded: an error in one is a bug in Tallow.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import cache, wraps
from typing import Any, ClassVar, NoReturn, TypeVar, cast, get_args, get_origin, get_type_hints

from tallow_core.errors import TallowError
from tallow_core.registry.blame import PluginFault, described, fault
from tallow_core.registry.contract_check import fits
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.result_sizes import size_check
from tallow_core.spi.command import Command
from tallow_core.spi.driver import Driver
from tallow_core.spi.raises import errors_of

D = TypeVar("D")

_WRONG_SIZE = "returned something of a wrong size"
_CONTRACTS = "tallow_core.spi."


class Watch:
    """The check of one method of a driver. `method` is its name in sentences; `errors` are the
    exception types that its contract allows."""

    __slots__ = ("driver", "entry", "errors", "method")

    def __init__(
        self, entry: PluginEntry, driver: type[Any], method: str, errors: tuple[type[Any], ...]
    ) -> None:
        self.entry, self.driver, self.method, self.errors = entry, driver, method, errors

    def failed(self, error: BaseException) -> NoReturn:
        """Raise `error` itself if the contract allows it, else a `PluginFault` that names the
        plugin."""
        if isinstance(error, (*self.errors, PluginFault, KeyboardInterrupt, GeneratorExit)):
            raise error
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise error
        raise fault(self.entry, f"failed in {self.method}: {described(error)}") from error

    def broken(self, problem: str) -> NoReturn:
        """Raise a `PluginFault` for a result that the contract does not allow."""
        raise fault(self.entry, f"broke its contract: {self.method} {problem}")

    def result(self, value: Any, hint: Any) -> Any:
        """Return a result that the contract allows. An object with methods is guarded in turn."""
        if inspect.iscoroutine(value):
            value.close()
            self.broken("is a coroutine function, and a plain one is due")
        origin = get_origin(hint)
        if origin is AbstractAsyncContextManager:
            if not (hasattr(value, "__aenter__") and hasattr(value, "__aexit__")):
                self.broken(f"returned {_kind_of(value)}, no asynchronous context manager")
            return WatchedContext(value, self, get_args(hint)[0])
        if origin is AsyncIterator:
            if not hasattr(value, "__anext__"):
                self.broken(f"returned {_kind_of(value)}, no asynchronous iterator")
            return WatchedIterator(value, self, get_args(hint)[0])
        if hint is not None and not fits(value, hint):
            self.broken(f"returned {_kind_of(value)}")
        if inspect.isclass(hint) and _is_contract(hint):
            return _CLASSES(type(value), self.entry, self.driver)._of(value)
        return value


class WatchedContext(AbstractAsyncContextManager[Any]):
    """An asynchronous context manager that a driver handed out."""

    def __init__(self, inner: Any, watch: Watch, hint: Any) -> None:
        self._inner, self._watch, self._hint = inner, watch, hint

    async def __aenter__(self) -> Any:
        try:
            value = await self._inner.__aenter__()
        except BaseException as error:
            self._watch.failed(error)
        return self._watch.result(value, None if self._hint is type(None) else self._hint)

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        try:
            await self._inner.__aexit__(kind, error, trace)
        except BaseException as raised:
            if raised is not error:
                self._watch.failed(raised)
        return False  # a driver does not swallow what its caller raises


class WatchedIterator(AsyncIterator[Any]):
    """An asynchronous iterator that a driver handed out."""

    def __init__(self, inner: Any, watch: Watch, hint: Any) -> None:
        self._inner, self._watch, self._hint = inner, watch, hint

    async def __anext__(self) -> Any:
        try:
            value = await self._inner.__anext__()
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self._watch.failed(error)
        return self._watch.result(value, self._hint)

    async def aclose(self) -> None:
        """Close the driver's iterator, where it can be closed."""
        close = getattr(self._inner, "aclose", None)
        try:
            if close is not None:
                await close()
        except BaseException as error:
            self._watch.failed(error)


def guarded(driver: type[D], entry: PluginEntry) -> type[D]:
    """Make the class that stands before a driver's class."""
    found: type[D] = _CLASSES(driver, entry, driver)
    return found


def _watched_class(made: type[Any], entry: PluginEntry, driver: type[Any]) -> type[Any]:
    """Make the class that stands before `made`. That is the driver's class, or the class of an
    object that the driver hands out."""
    contracts = tuple(each for each in made.__mro__ if _is_contract(each))
    bases = tuple(
        each
        for each in contracts
        if not any(other is not each and issubclass(other, each) for other in contracts)
    )
    members: dict[str, Any] = {
        "__module__": made.__module__,
        "__qualname__": made.__qualname__,
        "__doc__": made.__doc__,
        "_of": classmethod(_wrapped),
    }
    for contract in reversed(contracts):
        members |= _attributes(made, contract, entry, driver)
    for name, stated in _methods(contracts).items():
        if not hasattr(made, name) or (name == "__init__" and not issubclass(made, Driver)):
            continue
        watch = Watch(entry, driver, f"{made.__name__}.{name}", errors_of(contracts, name))
        members[name] = _member(made, name, stated, watch, size_check(contracts, name))
    make: Any = type
    found: type[Any] = make(made.__name__, bases, members)
    return found


_CLASSES = cast("Callable[[type[Any], PluginEntry, type[Any]], Any]", cache(_watched_class))
"""Caches `_watched_class`: each class is made once."""


def _wrapped(cls: type[Any], inner: object) -> Any:
    self: Any = object.__new__(cls)
    self._inner = inner
    return self


def _methods(contracts: tuple[type, ...]) -> dict[str, Any]:
    """The methods and properties that the contracts state, by name. Each is a function, a
    classmethod or a property. The nearest contract counts."""
    return {
        name: value
        for contract in reversed(contracts)
        for name, value in vars(contract).items()
        if (name[0] != "_" or name == "__init__")
        and (inspect.isfunction(value) or isinstance(value, classmethod | property))
    }


def _attributes(
    made: type[Any], contract: type, entry: PluginEntry, driver: type[Any]
) -> dict[str, Any]:
    """The attributes that a contract states: class variables with their values, variables of
    objects as properties."""
    found: dict[str, Any] = {}
    for name in inspect.get_annotations(contract):
        hint = get_type_hints(contract)[name]
        if get_origin(hint) is ClassVar:
            if hasattr(made, name):
                found[name] = getattr(made, name)
        else:
            watch = Watch(entry, driver, f"{made.__name__}.{name}", ())
            found[name] = _variable(name, hint, watch)
    return found


def _variable(name: str, hint: Any, watch: Watch, check: Any = None) -> property:
    def read(self: Any) -> Any:
        try:
            value = getattr(self._inner, name)
        except BaseException as error:
            watch.failed(error)
        value = watch.result(value, hint)
        if check is not None and not check(watch.driver, (), value):
            watch.broken(_WRONG_SIZE)
        return value

    return property(read, lambda self, value: setattr(self._inner, name, value))


def _member(made: type[Any], name: str, stated: Any, watch: Watch, check: Any) -> Any:
    """Make the member that stands before one method or property of `made`."""
    function = stated.fget if isinstance(stated, property) else stated
    function = getattr(function, "__func__", function)
    hint = get_type_hints(function).get("return")
    hint = None if hint is type(None) else hint
    if name == "__init__":
        return _constructor(made, watch)
    if isinstance(stated, property):
        return _variable(name, hint, watch, check)
    if isinstance(stated, classmethod):
        call = _plain(name, watch, hint, check, made)
        return classmethod(_command(call, watch) if issubclass(made, Command) else call)
    if inspect.iscoroutinefunction(function):
        return _coroutine(name, watch, hint, check)
    return _plain(name, watch, hint, check)


def _constructor(made: type[Any], watch: Watch) -> Callable[..., None]:
    def init(self: Any, *given: Any, **more: Any) -> None:
        try:
            self._inner = made(*given, **more)
        except BaseException as error:
            watch.failed(error)

    return init


def _plain(
    name: str, watch: Watch, hint: Any, check: Any, owner: type[Any] | None = None
) -> Callable[..., Any]:
    """Make a method that calls the one of `owner`, or else of the object. It looks the inner method
    up at each call: an object may have a function of its own in place of the class's."""
    expected = type(None) if hint is None else hint

    def watched(self: Any, *given: Any, **more: Any) -> Any:
        try:
            value = getattr(self._inner if owner is None else owner, name)(*given, **more)
        except BaseException as error:
            watch.failed(error)
        if type(value) is not expected:
            value = watch.result(value, hint)
        if check is not None and not check(watch.driver, (*given, *more.values()), value):
            watch.broken(_WRONG_SIZE)
        return value

    return watched


def _coroutine(name: str, watch: Watch, hint: Any, check: Any) -> Callable[..., Any]:
    async def watched(self: Any, *given: Any, **more: Any) -> Any:
        try:
            waiting = getattr(self._inner, name)(*given, **more)
            if not inspect.isawaitable(waiting):
                watch.broken("is a plain function, and a coroutine function is due")
            value = await waiting
        except BaseException as error:
            watch.failed(error)
        value = watch.result(value, hint)
        if check is not None and not check(watch.driver, (*given, *more.values()), value):
            watch.broken(_WRONG_SIZE)
        return value

    return watched


def _command(offer: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """Guard `Command.function` and its result, which is called later with the user's words."""

    def function(cls: type[Any]) -> Callable[..., Any]:
        inner = offer(cls)
        if inspect.iscoroutinefunction(inner):
            watch.broken("gives a coroutine function, and a command is a plain one")

        @wraps(inner)
        def run(*given: Any, **more: Any) -> Any:
            try:
                return inner(*given, **more)
            except (TallowError, OSError):  # OSError: its output, which the program reports
                raise
            except BaseException as error:
                watch.failed(error)

        return run

    return function


def _is_contract(found: type) -> bool:
    """Whether `found` is an abstract class of the contracts. Their records are data and are not
    guarded."""
    return found.__module__.startswith(_CONTRACTS) and (
        inspect.isabstract(found) or issubclass(found, Driver)
    )


def _is_cancelled() -> bool:
    """Whether the caller cancelled the running task; a driver that raises `CancelledError` by
    itself is broken."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


def _kind_of(value: object) -> str:
    return "nothing" if value is None else f"an object of the type {type(value).__name__}"
