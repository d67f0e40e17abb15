"""`tallow plugins new`: writes the project of a plugin that can be installed and tested as it
stands."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from tallow_core import __version__
from tallow_core.cli.entry.command_table import COMMANDS
from tallow_core.cli.views.output import put, say
from tallow_core.cli.views.reporters import json_line
from tallow_core.config.schema import Settings
from tallow_core.errors import EXIT_DONE, FileSystemError, UsageError
from tallow_core.events import ProjectWritten
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.kinds import COMMAND, LISTED_KINDS, PLUGIN, Kind, listed_kind
from tallow_core.registry.permissions import canonical
from tallow_core.text import nearest, printable

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_LIBRARIES = {
    "cipher": "cryptography>=48",
    "kem": "cryptography>=48",
    "signature": "cryptography>=48",
    "authenticator": "cpace>=0.1,<0.2",
}
"""What the code that a project begins with stands on, beside Tallow and Python's own library."""
_DRIVER = """\
The driver is `src/$module/__init__.py`. `$contract` in `$contract_module` says what its class must
do, and `tallow_core.testing.checks` what the kit checks. `name`, the entry point in
`pyproject.toml` and what a user types are one and the same word."""
_HOOKS = """\
The hooks are in `src/$module/__init__.py`. `tallow_core.registry.hookspecs` lists those that there
are. They are called in every run of a user who allows the distribution."""


def new_plugin(
    kind_name: str, name: str, path: str | None, settings: Settings, *, json: bool, quiet: bool
) -> int:
    """Write the project `tallow-KIND-NAME` into `path` (a folder that is missing or empty), and say
    how to go on."""
    kind = listed_kind(kind_name)
    if kind is None:
        kinds = [each.name for each in LISTED_KINDS]
        near = nearest(kind_name, kinds) or f"; write one of {', '.join(kinds)}"
        raise UsageError(f'there is no kind "{printable(kind_name)}" of plugin{near}')
    _check_name(kind, name, Catalog.scan(settings.plugins))
    words = _words(kind, name)
    folder = Path(words["distribution"] if path is None else path)
    _write(folder, _contents(kind, words))
    if json:
        where = printable(str(folder))
        put(json_line(ProjectWritten(words["distribution"], words["module"], where)))
    elif not quiet:
        say(_next_steps(folder, words))
    return EXIT_DONE


def _check_name(kind: Kind[object], name: str, catalog: Catalog) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{printable(name)}" cannot be the name of a driver: write at most 32 of a-z, 0-9 and'
            " hyphens, no hyphen first or last"
        )
    if kind.name == COMMAND.name and name in {row.words[0] for row in COMMANDS}:
        raise UsageError(
            f"tallow {name} is a command already, which none of a plugin replaces; choose another"
            " name"
        )
    for entry in catalog.entries(kind):
        if entry.name == name and canonical(entry.distribution) != f"tallow-{kind.name}-{name}":
            raise UsageError(
                f"{entry.maker} has a {kind.name} {name} already, and yours would not be used"
                " beside it; choose another name"
            )


def _words(kind: Kind[object], name: str) -> dict[str, str]:
    """What the templates leave open. The class ends with the contract's name, so that it is neither
    a keyword nor one that they import."""
    module, _, contract = kind.contract_path.partition(":")
    stem = "".join(word.capitalize() for word in name.split("-"))
    library = _LIBRARIES.get(kind.name)
    parts = {
        "module": f"tallow_{kind.name}_{name.replace('-', '_')}",
        "contract": contract,
        "contract_module": module,
    }
    return parts | {
        "kind": kind.name,
        "kind_constant": kind.name.upper(),
        "name": name,
        "distribution": f"tallow-{kind.name}-{name}",
        "class_name": f"{'No' if stem[0].isdigit() else ''}{stem}{contract}",
        "function": f"run_{name.replace('-', '_')}",
        "about": Template(_HOOKS if kind is PLUGIN else _DRIVER).substitute(parts),
        "libraries": f', "{library}"' if library else "",
        "version": __version__,
    }


def _contents(kind: Kind[object], words: dict[str, str]) -> dict[str, str]:
    """Path -> content of every file of the project."""
    templates = files("tallow_core.cli") / "scaffold"
    test = "test_hooks.py" if kind is PLUGIN else "test_kit.py"

    def filled(template: str) -> str:
        return Template((templates / f"{template}.tmpl").read_text("utf-8")).substitute(words)

    return {
        "pyproject.toml": filled("pyproject.toml"),
        "README.md": filled("README.md"),
        "LICENSE": filled("LICENSE"),
        ".github/workflows/test.yml": filled("test.yml"),
        f"src/{words['module']}/__init__.py": filled(f"{kind.name}.py"),
        f"src/{words['module']}/py.typed": "",
        f"tests/{test}": filled(test),
    }


def _write(folder: Path, contents: dict[str, str]) -> None:
    where = printable(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FileSystemError(
                f"{where} is not empty, and nothing is overwritten; name another folder with --path"
            )
        for name, content in contents.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as stream:
                stream.write(content)
    except OSError as error:
        raise FileSystemError(
            f"the project cannot be written to {where}: {error.strerror}; name another folder with"
            " --path"
        ) from error


def _next_steps(folder: Path, words: dict[str, str]) -> str:
    return (
        f"{printable(str(folder))} is a plugin that works as it stands. In a virtual environment,"
        " in that folder:\n"
        "  python -m pip install --editable '.[test]'\n"
        "  python -m pytest\n"
        f"  tallow plugins allow {words['distribution']}\n"
        f"Then replace what src/{words['module']}/__init__.py does by what yours is to do."
    )
