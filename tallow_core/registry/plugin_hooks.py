"""The hooks of loaded plugins: registered with pluggy, asked one plugin at a time, so that every
answer and every error has a name."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, ModuleType
from typing import Any

import pluggy

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry import hookspecs
from tallow_core.registry.blame import breach, described, log, timed
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.permissions import canonical
from tallow_core.text import printable

_EVENT = "tallow_session_event"


class PluginHooks:
    """The registered plugins. A plugin is a module."""

    def __init__(self) -> None:
        self._plugins = pluggy.PluginManager("tallow")
        self._plugins.add_hookspecs(hookspecs)
        self._makers: dict[str, PluginEntry] = {}
        """Name of a registered module -> the entry that brought it."""
        self._configured: set[str] = set()

    @property
    def relay(self) -> pluggy.HookRelay:
        """pluggy's relay over the loaded plugins."""
        return self._plugins.hook

    @contextmanager
    def registered(self, module: ModuleType, entry: PluginEntry) -> Iterator[None]:
        """Register `module`, if it is not registered yet.

        After an error inside, a module that worked before (for another kind) keeps its vetoes; one
        that never worked is unregistered again.
        """
        self._register(module, entry)
        try:
            yield
        except BaseException:
            if module.__name__ not in self._configured:
                self._unregister(module)
            raise

    def configure(self, module: ModuleType, settings: DriverSettings) -> None:
        """Call the module's `tallow_configure`, the first time."""
        if module.__name__ not in self._configured:
            self.only(module, "tallow_configure")(settings=settings)
            self._configured.add(module.__name__)

    def only(self, module: ModuleType, hook_name: str) -> Callable[..., list[Any]]:
        """A call of the hook in this module alone."""
        return self._plugins.subset_hook_caller(hook_name, self._plugins.get_plugins() - {module})

    def implemented(self, module: ModuleType) -> list[str]:
        """The names of the hooks that a registered module implements."""
        return sorted(caller.name for caller in self._plugins.get_hookcallers(module) or ())

    def veto(self, hook_name: str, **kwargs: object) -> str | None:
        """Ask every plugin for a veto; see `PluginLoader.veto`."""
        reasons = []
        for entry, call in self._each(hook_name):
            try:
                with timed(entry, f"for {hook_name}"):
                    answers = call(**{key: _shielded(value) for key, value in kwargs.items()})
            except (Exception, SystemExit) as error:
                answers = [f"its check failed ({described(error)})"]
            reasons += [
                f"{printable(str(answer)) or 'no reason given'} ({entry.maker})"
                for answer in answers
            ]
        return "; ".join(reasons) or None

    def observe(self, event: Mapping[str, Any]) -> None:
        """Show an event to every plugin; see `PluginLoader.observe`."""
        if not self._plugins.hook.tallow_session_event.get_hookimpls():
            return  # most often, for each of very many files
        for entry, call in self._each(_EVENT):
            try:
                with timed(entry, f"for {_EVENT}"):
                    call(event=_shielded(event))
            except (Exception, SystemExit) as error:
                log.warning("an observer of %s failed: %s", entry.maker, described(error))

    def _each(self, hook_name: str) -> Iterator[tuple[PluginEntry, Callable[..., list[Any]]]]:
        """Each loaded plugin that implements the hook, with a call of its implementation alone."""
        implementations = getattr(self._plugins.hook, hook_name).get_hookimpls()
        modules: dict[ModuleType, None] = dict.fromkeys(
            implementation.plugin for implementation in implementations
        )
        for module in modules:
            yield self._makers[module.__name__], self.only(module, hook_name)

    def _register(self, module: ModuleType, entry: PluginEntry) -> None:
        owner = self._makers.setdefault(module.__name__, entry)
        if canonical(owner.distribution) != canonical(entry.distribution):
            breach(f"its module {module.__name__} is already the plugin of {owner.maker}")
        if self._plugins.is_registered(module):
            return
        try:
            with _deprecations_logged(entry):
                self._plugins.register(module, module.__name__)
                self._plugins.check_pending()
            self._refuse_odd_hooks(module)
        except BaseException:
            self._unregister(module)
            raise

    def _refuse_odd_hooks(self, module: ModuleType) -> None:
        """A wrapper runs around the hooks of others and could swallow their refusals; a coroutine
        would never run."""
        for hook in self._plugins.get_hookcallers(module) or ():
            for implementation in hook.get_hookimpls():
                if implementation.plugin is not module:
                    continue
                if implementation.wrapper or implementation.hookwrapper:
                    breach(f"its {hook.name} wraps the hooks of other plugins")
                function = implementation.function
                if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                    breach(f"its {hook.name} is a coroutine function, and hooks are plain ones")

    def _unregister(self, module: ModuleType) -> None:
        self._makers.pop(module.__name__, None)
        if self._plugins.is_registered(module):
            self._plugins.unregister(module)


@contextmanager
def _deprecations_logged(entry: PluginEntry) -> Iterator[None]:
    """pluggy warns of an implementation of a deprecated hook or argument: say whose it is."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        log.warning("%s: %s", entry.maker, printable(" ".join(str(warning.message).split())))


def _shielded(value: object) -> object:
    """A mapping as a read-only copy: one plugin must not change what the next one, or the session,
    sees."""
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value
