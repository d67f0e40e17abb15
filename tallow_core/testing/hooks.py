"""Holds the hooks of a plugin to their specifications."""

from __future__ import annotations

import inspect
from types import ModuleType

import pluggy

from tallow_core.registry import hookspecs
from tallow_core.testing.expect import ConformanceError, require


def known_hooks(module: ModuleType) -> list[str]:
    """The names of the hooks that `module` implements, in alphabetical order.

    Raises `ConformanceError` for a hook or an argument of one that does not exist, a coroutine
    function, a wrapper of other hooks, and a module without any hook.
    """
    plugins = pluggy.PluginManager("tallow")
    plugins.add_hookspecs(hookspecs)
    try:
        plugins.register(module)
        plugins.check_pending()
    except pluggy.PluginValidationError as error:
        raise ConformanceError(" ".join(str(error).split())) from error
    found = sorted(caller.name for caller in plugins.get_hookcallers(module) or ())
    require(bool(found), f"{module.__name__} implements no hook")
    for caller in plugins.get_hookcallers(module) or ():
        for each in caller.get_hookimpls():
            is_plain = not inspect.iscoroutinefunction(each.function)
            require(is_plain, f"{caller.name} is a coroutine function, and hooks are plain ones")
            is_alone = not (each.wrapper or each.hookwrapper)
            require(is_alone, f"{caller.name} wraps the hooks of other plugins")
    return found
