"""`tallow plugins list` and `tallow plugins show`."""

from __future__ import annotations

from tallow_core.cli import invocation
from tallow_core.cli.options import Common
from tallow_core.cli.plugin_table import list_plugins, show_plugin

_COMMON = Common()


def list_command(*, kind: str | None = None, common: Common = _COMMON) -> int:
    """List the installed plugins and whether they may be used, from metadata alone.

    Parameters
    ----------
    kind
        Only this kind of plugin.
    """
    return list_plugins(kind=kind, settings=invocation.load(common, {}), json=common.json)


def show_command(name: str, /, *, kind: str | None = None, common: Common = _COMMON) -> int:
    """Show one plugin in full: what it can do, where it comes from. Only an allowed one is imported.

    Parameters
    ----------
    name
        NAME or KIND:NAME.
    kind
        The kind, where one name has several.
    """
    return show_plugin(name=name, kind=kind, settings=invocation.load(common, {}), json=common.json)
