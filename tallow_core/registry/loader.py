"""The loader: from a driver's name to its class, and from its class to an instance.

catalogue (is it allowed?) -> stevedore (import exactly that one) -> pluggy (register, check its
hooks) -> contract check -> class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any, NamedTuple, NoReturn, TypeVar, cast

import pluggy
from stevedore import ExtensionManager, NamedExtensionManager

from tallow_core.directories import Directories
from tallow_core.errors import ConfigError, PluginError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.blame import blamed, breach, log, timed
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.contract_check import check_contract
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import KINDS, LISTED_KINDS, PLUGIN, Kind
from tallow_core.registry.plugin_hooks import PluginHooks

D = TypeVar("D")


class PluginFailure(NamedTuple):
    """A plugin that could not be used while others were; `message` is the sentence that was
    logged."""

    kind: str
    name: str
    distribution: str
    version: str
    message: str


def default_options(kind: str, driver: type[Any]) -> Any:
    """The options of a driver for which nothing is set; None if it has none."""
    return None if driver.options is None else driver.options()


class PluginLoader:
    """Loads drivers on demand and keeps what is loaded. One per run of the program; there is no
    global one.

    Drivers of other distributions are watched in use (`tallow_core.registry.guard`), unless `watch`
    is False: the conformance kit looks at them as they are. `options` gives the options of a
    driver, by its kind's name and its class; it may raise any `TallowError`.
    """

    def __init__(
        self,
        catalog: Catalog,
        directories: Directories,
        options: Callable[[str, type[Any]], Any] = default_options,
        *,
        watch: bool = True,
    ) -> None:
        self.catalog = catalog
        self.directories = directories
        self.failures: list[PluginFailure] = []
        self._options = options
        self._watch = watch
        self._hooks = PluginHooks()
        self._drivers: dict[tuple[str, str], type[Any]] = {}
        self._broken: dict[tuple[str, str], PluginError] = {}

    @property
    def hook(self) -> pluggy.HookRelay:
        """pluggy's relay over the loaded plugins. For vetoes and events use `veto` and `observe`,
        which also name the plugin that answered."""
        return self._hooks.relay

    def veto(self, hook_name: str, **kwargs: object) -> str | None:
        """Ask every loaded plugin; return all reasons to refuse, each with its distribution, or
        None. An error in a veto refuses."""
        return self._hooks.veto(hook_name, **kwargs)

    @property
    def observed(self) -> bool:
        """Whether any loaded plugin observes events."""
        return bool(self._hooks.relay.tallow_session_event.get_hookimpls())

    def observe(self, event: Mapping[str, Any]) -> None:
        """Show `event` to every observer. An error in one is logged and changes nothing."""
        self._hooks.observe(event)

    # -- classes ---------------------------------------------------------------------------------

    def load(self, kind: Kind[D], name: str) -> type[D]:
        """The driver class of that name, imported now if it was not before. Every failure is a
        `PluginError`."""
        key = (kind.name, name)
        if key in self._broken:
            raise self._broken[key]
        if key not in self._drivers:
            try:
                self._drivers[key] = self._load(kind, self.catalog.find(kind, name))
            except PluginError as error:
                self._broken[key] = error
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
        for kind in LISTED_KINDS:
            for entry in self.catalog.entries(kind):
                if entry.state == "allowed" and not entry.first_party:
                    self._attempt_entry(kind, entry)

    def attempt(self, kind: Kind[D], name: str) -> type[D] | None:
        """Like `load`, but a failure is logged, once, and kept in `failures`; the answer is then
        None."""
        try:
            return self.load(kind, name)
        except PluginError as error:
            self._record(kind, name, str(error))
            return None

    def load_hooks(self, entry: PluginEntry) -> list[str]:
        """Import the module of an allowed entry and return the names of the hooks that it
        implements. Every failure is a `PluginError`."""
        if entry.kind != PLUGIN.name:
            kind = next(kind for kind in KINDS if kind.name == entry.kind)
            self.load(kind, entry.name)
        with blamed(entry):
            module = self._import(entry)
            with self._hooks.registered(module, entry):
                self._hooks.configure(module, DriverSettings(self.directories))
            return self._hooks.implemented(module)

    def _attempt_entry(self, kind: Kind[Any], entry: PluginEntry) -> None:
        if kind is not PLUGIN:
            self.attempt(kind, entry.name)
            return
        try:
            self.load_hooks(entry)
        except PluginError as error:
            self._record(kind, entry.name, str(error))

    def _record(self, kind: Kind[Any], name: str, message: str) -> None:
        if (kind.name, name) in ((failure.kind, failure.name) for failure in self.failures):
            return
        entry = next(
            each
            for each in self.catalog.entries(kind)
            if each.name == name and each.state in ("allowed", "duplicate")
        )
        self.failures.append(
            PluginFailure(kind.name, name, entry.distribution, entry.version, message)
        )
        log.warning("%s", message)

    def _load(self, kind: Kind[D], entry: PluginEntry) -> type[D]:
        with blamed(entry):
            module = self._import(entry)
            with self._hooks.registered(module, entry):
                offered = self._offered(module, kind, entry)
                self._hooks.configure(module, DriverSettings(self.directories))
            offer = offered[entry.name]
        if entry.first_party or not self._watch:
            return offer
        from tallow_core.registry.guard import guarded  # most often no driver needs it

        return guarded(offer, entry)

    def _import(self, entry: PluginEntry) -> ModuleType:
        with timed(entry, "to be imported"):
            return _imported(self.catalog, entry)

    def _offered(self, module: ModuleType, kind: Kind[D], entry: PluginEntry) -> dict[str, type[D]]:
        names = {
            each.name
            for each in self.catalog.entries(kind)
            if each.distribution == entry.distribution
        }
        offered: dict[str, type[D]] = {}
        for answer in self._hooks.only(module, kind.hook)():
            for driver in answer:
                check_contract(kind, driver, names)
                if offered.setdefault(driver.name, driver) is not driver:
                    breach(f"it offers two drivers named {driver.name}")
        if entry.name not in offered:
            breach(f"its {kind.hook} offers no driver named {entry.name}")
        return offered

    # -- instances -------------------------------------------------------------------------------

    def build(self, kind: Kind[D], driver: type[D], *arguments: object) -> D:
        """Make an instance of a driver that is built from settings; `arguments` follow them.

        A driver that fails is a `PluginError` that names it; wrong options, also those that
        the driver itself refuses, are a `ConfigError` or a `UsageError`.
        """
        return self._make(kind, driver, self._settings_of(kind, driver), *arguments)

    def _settings_of(self, kind: Kind[D], driver: type[D]) -> DriverSettings:
        return DriverSettings(self.directories, self._options(kind.name, driver))

    def _make(
        self, kind: Kind[D], driver: type[D], settings: DriverSettings, *arguments: object
    ) -> D:
        with blamed(self.catalog.find(kind, cast("Any", driver).name), "cannot be built"):
            try:
                return cast("Any", driver)(settings, *arguments)  # type: ignore[no-any-return]
            except ConfigError as error:
                refusal = error
        raise refusal

    def build_usable(
        self,
        kind: Kind[D],
        drivers: Iterable[type[D]],
        *arguments: object,
        named: str | None = None,
        needed: bool = True,
    ) -> dict[str, D]:
        """Name -> instance of each driver that can be built. Another one is left out with a
        warning; it is the error if it is `named` (by a flag), or if none is left and one is
        `needed`."""
        built: dict[str, D] = {}
        last: PluginError | ConfigError | None = None
        for driver in drivers:
            name: str = cast("Any", driver).name
            settings = self._settings_of(kind, driver)
            try:
                built[name] = self._make(kind, driver, settings, *arguments)
            except (PluginError, ConfigError) as error:
                if name == named:
                    raise
                last = error
                self._record(kind, name, str(error))
        if last is not None and needed and not built:
            raise last
        return built


def _imported(catalog: Catalog, entry: PluginEntry) -> ModuleType:
    if entry.source() is None:
        breach(f"its module {entry.value} is not among the files of the distribution")
    group = f"tallow.{entry.kind}"
    # stevedore's own cache on disk says what to import: a person who can write that file would
    # choose the code.
    ExtensionManager.ENTRY_POINT_CACHE[group] = [
        EntryPoint(each.name, each.value, group)
        for each in catalog.all_entries
        if each.kind == entry.kind and each.state == "allowed"
    ]
    loaded: NamedExtensionManager[Any] = NamedExtensionManager(
        group,
        [entry.name],
        on_load_failure_callback=_raise,
        on_missing_entrypoints_callback=None,
    )
    module: object = loaded[entry.name].plugin
    if not isinstance(module, ModuleType):
        breach(f"{entry.value} is no module")
    return module


def _raise(manager: object, entry_point: EntryPoint, error: BaseException) -> NoReturn:
    raise error
