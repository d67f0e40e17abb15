"""`tallow plugins`: list, show, allow and check what is installed, and begin one of your own."""

from __future__ import annotations

from typing import Annotated

from tallow_core.cli.args.marks import Mark
from tallow_core.cli.args.options import CommonOptions
from tallow_core.cli.entry import invocation
from tallow_core.cli.views.plugin_table import list_plugins, show_plugin

_COMMON = CommonOptions()


def list_command(*, kind: str | None = None, common: CommonOptions = _COMMON) -> int:
    """List the installed plugins and whether they may be used, from metadata alone.

    Parameters
    ----------
    kind
        Only this kind of plugin.
    """
    return list_plugins(
        kind=kind, settings=invocation.load(common, {}), json=common.json, quiet=common.quiet
    )


def show_command(name: str, /, *, kind: str | None = None, common: CommonOptions = _COMMON) -> int:
    """Show one plugin in full: what it can do, where it comes from. Only an allowed one is
    imported.

    Parameters
    ----------
    name
        NAME or KIND:NAME.
    kind
        The kind, where one name has several.
    """
    return show_plugin(name=name, kind=kind, settings=invocation.load(common, {}), json=common.json)


def allow_command(
    distribution: str,
    /,
    *,
    yes: Annotated[bool, Mark(("--yes", "-y"))] = False,
    no_check: bool = False,
    common: CommonOptions = _COMMON,
) -> int:
    """Allow the plugins of an installed distribution: run the conformance kit over them, and enter
    the distribution into the config file, which keeps its comments and its form.

    Parameters
    ----------
    distribution
        Its name, as `tallow plugins list` shows it.
    yes
        Run the kit, and with it the distribution's code, without asking.
    no_check
        Allow it without running the kit.
    """
    from tallow_core.cli.commands.plugin_permission import allow_plugins, kit_run

    settings = invocation.load(common, {})
    check = kit_run(settings, yes=yes, json=common.json, quiet=common.quiet)
    return allow_plugins(
        distribution,
        settings,
        json=common.json,
        quiet=common.quiet,
        check=None if no_check else check,
    )


def disallow_command(distribution: str, /, *, common: CommonOptions = _COMMON) -> int:
    """Allow the plugins of a distribution no more: take it out of the config file.

    Parameters
    ----------
    distribution
        Its name.
    """
    from tallow_core.cli.commands.plugin_permission import disallow_plugins

    return disallow_plugins(
        distribution, invocation.load(common, {}), json=common.json, quiet=common.quiet
    )


def block_command(name: str, /, *, common: CommonOptions = _COMMON) -> int:
    """Block a plugin, or all of a distribution: enter it into the config file.

    Parameters
    ----------
    name
        KIND:NAME or the name of a distribution, as `tallow plugins list` shows them.
    """
    from tallow_core.cli.commands.plugin_permission import block_plugin

    return block_plugin(name, invocation.load(common, {}), json=common.json, quiet=common.quiet)


def new_command(
    kind: str, name: str, /, *, path: str | None = None, common: CommonOptions = _COMMON
) -> int:
    """Write the project of a plugin of yours: it can be installed as it stands, and has tests that
    run the conformance kit.

    Parameters
    ----------
    kind
        What it is to provide: cipher, kem, hash, transport, ...
    name
        The driver's name, as users will type it.
    path
        The folder to write it to, missing or empty (./tallow-KIND-NAME).
    """
    from tallow_core.cli.commands.plugin_project import new_plugin

    return new_plugin(
        kind, name, path, invocation.load(common, {}), json=common.json, quiet=common.quiet
    )


def check_command(
    *drivers: str, every: Annotated[bool, Mark(("--all",))] = False, common: CommonOptions = _COMMON
) -> int:
    """Hold plugins to the contract of their kind: run the conformance kit, and print what it
    checked.

    Parameters
    ----------
    drivers
        KIND:NAME, as `tallow plugins list` shows them. Naming a driver allows its distribution for
        this check.
    every
        Every driver that is installed and allowed.
    """
    # Imported here: the kit is large, and `list` does not need it.
    from tallow_core.cli.views.check_report import check_plugins, report_for

    settings = invocation.load(common, {})
    report = report_for(settings, json=common.json, quiet=common.quiet)
    return check_plugins(drivers, all_of_them=every, settings=settings, report=report)
