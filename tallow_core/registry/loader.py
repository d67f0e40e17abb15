"""The host: from a driver's name to its class, and the vetoes and observers that loaded plugins
brought along.

catalogue (is it allowed?) -> stevedore (import exactly that one) -> pluggy (register, check its
hooks) -> contract check -> class.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint
from types import MappingProxyType, ModuleType
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NoReturn,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import pluggy
from stevedore import ExtensionManager, NamedExtensionManager

from tallow_core.directories import Directories
from tallow_core.errors import PluginError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry import hookspecs
from tallow_core.registry.catalog import FIRST_PARTY, Catalog, Entry, canonical
from tallow_core.registry.kinds import KINDS, Kind
from tallow_core.spi.driver import Driver
from tallow_core.text import printable

D = TypeVar("D")

log = logging.getLogger("tallow.plugins")


class PluginFailure(NamedTuple):
    """A plugin that could not be used while others were; `message` is the sentence that was
    logged."""

    kind: str
    name: str
    distribution: str
    version: str
    message: str


class PluginLoader:
    """Loads drivers on demand and keeps what is loaded. One per run of the program; there is no
    global one."""

    def __init__(self, catalog: Catalog, directories: Directories) -> None:
        self.catalog = catalog
        self.directories = directories
        self.failures: list[PluginFailure] = []
        self._plugins = pluggy.PluginManager("tallow")
        self._plugins.add_hookspecs(hookspecs)
        self._makers: dict[str, Entry] = {}
        """Registered plugins: the name of the module -> the entry that brought it."""
        self._configured: set[str] = set()
        self._drivers: dict[tuple[str, str], type[Any]] = {}
        self._broken: dict[tuple[str, str], str] = {}

    @property
    def hook(self) -> pluggy.HookRelay:
        """pluggy's relay over the loaded plugins. For vetoes and events use `veto` and `observe`,
        which also say whose answer it was."""
        return self._plugins.hook

    def load(self, kind: Kind[D], name: str) -> type[D]:
        """The driver class of that name, imported now if it was not before. Every failure is a
        `PluginError`."""
        key = (kind.name, name)
        if key in self._broken:
            raise PluginError(self._broken[key])
        if key not in self._drivers:
            try:
                self._drivers[key] = self._load(kind, self.catalog.find(kind, name))
            except PluginError as error:
                self._broken[key] = str(error)
                raise
        return self._drivers[key]

    def load_all(self, kind: Kind[D]) -> list[type[D]]:
        """All allowed drivers of `kind`, by name. One that fails is logged and added to `failures`;
        the rest goes on."""
        names = dict.fromkeys(
            entry.name
            for entry in self.catalog.entries(kind)
            if entry.state in ("allowed", "duplicate")
        )
        return [driver for name in names if (driver := self.attempt(kind, name)) is not None]

    def load_third_party(self) -> None:
        """Load every allowed plugin of other distributions, so that its vetoes and observers take
        part in all that follows."""
        for kind in KINDS:
            for entry in self.catalog.entries(kind):
                if entry.state == "allowed" and canonical(entry.distribution) != FIRST_PARTY:
                    self.attempt(kind, entry.name)

    def attempt(self, kind: Kind[D], name: str) -> type[D] | None:
        """Like `load`, but a failure is logged, once, and kept in `failures`; the answer is then
        None."""
        try:
            return self.load(kind, name)
        except PluginError as error:
            if (kind.name, name) not in ((failure.kind, failure.name) for failure in self.failures):
                self._record(kind, name, str(error))
            return None

    def veto(self, hook_name: str, **kwargs: object) -> str | None:
        """Ask every loaded plugin; return all reasons to refuse, each with its distribution, or
        None. An error in a veto refuses."""
        reasons = []
        for entry, call in self._each(hook_name):
            try:
                answers = call(**{key: _shielded(value) for key, value in kwargs.items()})
            except (Exception, SystemExit) as error:
                answers = [f"its check failed ({_told(error)})"]
            reasons += [
                f"{printable(str(answer)) or 'no reason given'} ({entry.maker})"
                for answer in answers
            ]
        return "; ".join(reasons) or None

    def observe(self, event: Mapping[str, Any]) -> None:
        """Show `event` to every observer. An error in one is logged and changes nothing."""
        if not self._plugins.hook.tallow_session_event.get_hookimpls():
            return  # most often, for each of very many files
        for entry, call in self._each("tallow_session_event"):
            try:
                call(event=_shielded(event))
            except (Exception, SystemExit) as error:
                log.warning("an observer of %s failed: %s", entry.maker, _told(error))

    def _each(self, hook_name: str) -> Iterator[tuple[Entry, Callable[..., list[Any]]]]:
        """Each loaded plugin that implements the hook, with a call of its implementation alone."""
        implementations = getattr(self._plugins.hook, hook_name).get_hookimpls()
        modules: dict[ModuleType, None] = dict.fromkeys(
            implementation.plugin for implementation in implementations
        )
        for module in modules:
            yield self._makers[module.__name__], self._only(module, hook_name)

    def _only(self, module: ModuleType, hook_name: str) -> Callable[..., list[Any]]:
        return self._plugins.subset_hook_caller(hook_name, self._plugins.get_plugins() - {module})

    def _record(self, kind: Kind[Any], name: str, message: str) -> None:
        entry = next(
            each
            for each in self.catalog.entries(kind)
            if each.name == name and each.state in ("allowed", "duplicate")
        )
        self.failures.append(
            PluginFailure(kind.name, name, entry.distribution, entry.version, message)
        )
        log.warning("%s", message)

    def _load(self, kind: Kind[D], entry: Entry) -> type[D]:
        with _blamed(entry):
            module = _imported(self.catalog, kind, entry)
            self._register(module, entry)
            try:
                offered = self._offered(module, kind, entry)
                self._configure(module)
            except BaseException:
                # A plugin that works for one kind keeps its vetoes when it breaks another; one that
                # never worked leaves nothing.
                if module.__name__ not in self._configured:
                    self._unregister(module)
                raise
            return offered[entry.name]

    def _register(self, module: ModuleType, entry: Entry) -> None:
        owner = self._makers.setdefault(module.__name__, entry)
        if canonical(owner.distribution) != canonical(entry.distribution):
            _breach(f"its module {module.__name__} is already the plugin of {owner.maker}")
        if self._plugins.is_registered(module):
            return
        try:
            self._plugins.register(module, module.__name__)
            self._plugins.check_pending()
            self._refuse_wrappers(module)
        except BaseException:
            self._unregister(module)
            raise

    def _refuse_wrappers(self, module: ModuleType) -> None:
        # A wrapper runs around the hooks of others and could swallow their refusals.
        for hook in self._plugins.get_hookcallers(module) or ():
            for implementation in hook.get_hookimpls():
                if implementation.plugin is module and (
                    implementation.wrapper or implementation.hookwrapper
                ):
                    _breach(f"its {hook.name} wraps the hooks of other plugins")

    def _unregister(self, module: ModuleType) -> None:
        self._makers.pop(module.__name__, None)
        if self._plugins.is_registered(module):
            self._plugins.unregister(module)

    def _offered(self, module: ModuleType, kind: Kind[D], entry: Entry) -> dict[str, type[D]]:
        names = {
            each.name
            for each in self.catalog.entries(kind)
            if each.distribution == entry.distribution
        }
        offered: dict[str, type[D]] = {}
        for answer in self._only(module, kind.hook)():
            for driver in answer:
                _check_contract(kind, driver, names)
                if offered.setdefault(driver.name, driver) is not driver:
                    _breach(f"it offers two drivers named {driver.name}")
        if entry.name not in offered:
            _breach(f"its {kind.hook} offers no driver named {entry.name}")
        return offered

    def _configure(self, module: ModuleType) -> None:
        if module.__name__ not in self._configured:
            self._only(module, "tallow_configure")(settings=DriverSettings(self.directories))
            self._configured.add(module.__name__)


@contextmanager
def _blamed(entry: Entry) -> Iterator[None]:
    """Turn whatever goes wrong inside into a `PluginError` that names the plugin. A plugin that
    exits is broken, not in charge."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the plugin {entry.kind}:{entry.name} of {entry.maker} cannot be used: {_told(error)};"
            f' to go on without it, write `[plugins] block = ["{entry.kind}:{entry.name}"]` in the'
            " config file"
        ) from error


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return printable(text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}")


def _breach(message: str) -> NoReturn:
    raise PluginError(message)


def _imported(catalog: Catalog, kind: Kind[Any], entry: Entry) -> ModuleType:
    if entry.source() is None:
        _breach(f"its module {entry.value} is not among the files of the distribution")
    # stevedore's own cache on disk says what to import, and whoever can write that file would
    # choose the code.
    ExtensionManager.ENTRY_POINT_CACHE[kind.group] = [
        EntryPoint(each.name, each.value, kind.group)
        for each in catalog.entries(kind)
        if each.state == "allowed"
    ]
    loaded: NamedExtensionManager[Any] = NamedExtensionManager(
        kind.group,
        [entry.name],
        on_load_failure_callback=_raise,
        on_missing_entrypoints_callback=None,
    )
    module: object = loaded[entry.name].plugin
    if not isinstance(module, ModuleType):
        _breach(f"{entry.value} is no module")
    return module


def _raise(manager: object, entry_point: EntryPoint, error: BaseException) -> NoReturn:
    raise error


def _check_contract(kind: Kind[Any], driver: object, names: Iterable[str]) -> None:
    if not (
        isinstance(driver, type) and issubclass(driver, Driver) and kind.contract in driver.__mro__
    ):
        _breach(f"it offers {driver!r}, which is no {kind.contract.__name__}")
    contract = contract_of(kind, driver)
    if inspect.isabstract(driver):
        missing = ", ".join(sorted(driver.__abstractmethods__))
        _breach(
            f"{driver.__name__} lacks {missing}, which the contract {contract.__name__} asks for"
        )
    for name, hint in _attributes(contract).items():
        if not _fits(getattr(driver, name, None), hint):
            _breach(
                f"{driver.__name__}.{name} is missing or not of the type that the contract"
                f" {contract.__name__} asks for"
            )
    if driver.name not in names:
        _breach(
            f"{driver.__name__} is named {driver.name}, which is no entry point of the distribution"
        )


@cache
def _attributes(contract: type[Driver]) -> dict[str, Any]:
    """Name -> type, of the class variables that a contract asks for."""
    return get_type_hints(contract)


def contract_of(kind: Kind[Any], driver: type[Driver]) -> type[Driver]:
    """The most specific contract of `kind` that `driver` implements: a kind may divide its contract
    among several cases."""
    contract: type[Driver] = next(
        each for each in driver.__mro__ if _is_ours(each) and issubclass(each, kind.contract)
    )
    cases = [each.__name__ for each in contract.__subclasses__() if _is_ours(each)]
    if cases:
        _breach(
            f"{driver.__name__} derives from {contract.__name__} alone, which is divided: derive"
            f" it from {' or '.join(cases)}"
        )
    return contract


def _is_ours(contract: type) -> bool:
    return contract.__module__.startswith("tallow_core.spi.")


def _fits(value: object, hint: Any) -> bool:
    """Whether a class variable has the type that its annotation states, as far as contracts use
    them."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is ClassVar:
        return _fits(value, arguments[0])
    if origin is Literal:
        return value in arguments
    if origin is frozenset:
        return isinstance(value, frozenset) and all(_fits(item, arguments[0]) for item in value)
    if origin is tuple:
        return (
            isinstance(value, tuple)
            and len(value) == len(arguments)
            and all(map(_fits, value, arguments))
        )
    if hint is int:
        return type(value) is int
    return isinstance(value, int | float) if hint is float else isinstance(value, hint)


def _shielded(value: object) -> object:
    """A mapping as a read-only copy: one plugin must not change what the next one, or the session,
    sees."""
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value
