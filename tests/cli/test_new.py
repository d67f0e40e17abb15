"""`tallow plugins new`: what it writes installs, is found, and passes the conformance kit as it
stands."""

from __future__ import annotations

import json
import os
import re
import site
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest
from trove_classifiers import classifiers

from tallow_core.cli.commands.plugin_project import new_plugin
from tallow_core.config.schema import Settings
from tallow_core.errors import FileSystemError, UsageError
from tallow_core.registry.kinds import LISTED_KINDS, PLUGIN, Kind
from tests.kit.lab import PROGRAM, Lab, tree

NAME = "shiny-1"
INSTALLING = 150.0
"""Seconds until an installation fails the test: a build for each kind."""


def new(kind: str, name: str, path: Path) -> Path:
    assert new_plugin(kind, name, str(path), Settings(), json=False, quiet=True) == 0
    return path


def run(command: Sequence[str | Path], folder: Path, **environment: str) -> str:
    """Run a command, which must succeed; what it prints."""
    settled = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=settled | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALLING,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project of each kind, all installed editable into one new virtual environment: (its Python,
    the folder of the projects).

    The environment sees what this one has; nothing comes from a network.
    """
    folder = tmp_path_factory.mktemp("workshop")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (library,) = (folder / "venv" / "lib").glob("python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (library / "surroundings.pth").write_text("\n".join(lines) + "\n")
    projects = [new(kind.name, NAME, folder / kind.name) for kind in LISTED_KINDS]
    editable = [word for project in projects for word in ("--editable", str(project))]
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run([*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", *editable], folder)
    return python, folder


@pytest.mark.processes
@pytest.mark.parametrize("kind", LISTED_KINDS, ids=lambda kind: str(kind.name))
def test_it_installs_and_passes_the_kit(
    workshop: tuple[Path, Path], kind: Kind[object], lab: Lab
) -> None:
    python, folder = workshop
    told = run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder / kind.name)
    assert "2 passed" in told
    ann = lab.place()
    program = (str(python), *PROGRAM[1:])
    distribution = f"tallow-{kind.name}-{NAME}"
    (blocked,) = (
        lab.run(ann, "plugins", "show", f"{kind.name}:{NAME}", "--json", program=program)
        .ends(0)
        .events
    )
    assert blocked["state"] == "blocked"
    lab.run(ann, "plugins", "allow", distribution, "--yes", program=program).ends(0)
    (shown,) = (
        lab.run(ann, "plugins", "show", f"{kind.name}:{NAME}", "--json", program=program)
        .ends(0)
        .events
    )
    assert (shown["state"], shown["distribution"]) == ("allowed", distribution)
    if kind is PLUGIN:
        assert shown["hooks"] == ["tallow_veto_offer"]
    else:
        assert shown["class"].startswith("Shiny1")
    checked = lab.run(ann, "plugins", "check", f"{kind.name}:{NAME}", program=program).ends(0)
    assert "1 driver" in checked.out.text


@pytest.mark.processes
def test_the_kit_fails_where_the_driver_is_broken(
    workshop: tuple[Path, Path], tmp_path: Path
) -> None:
    """The project's tests are those that count: they notice a driver that was changed for the
    worse."""
    python, _ = workshop
    project = new("cipher", "broken", tmp_path / "broken")
    source = project / "src" / "tallow_cipher_broken" / "__init__.py"
    source.write_text(source.read_text().replace("wipe(opened)", "pass"))
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "kit"],
        cwd=project,
        env={"PYTHONPATH": str(source.parents[1])},
        capture_output=True,
        text=True,
        timeout=INSTALLING,
    )
    assert done.returncode == 1
    assert "unverified plaintext is left in the output" in done.stdout


@pytest.mark.processes
def test_a_command_of_ones_own(workshop: tuple[Path, Path], lab: Lab) -> None:
    python, _ = workshop
    ann = lab.place()
    program = (str(python), *PROGRAM[1:])
    lab.run(ann, "plugins", "allow", f"tallow-command-{NAME}", "--yes", program=program).ends(0)
    assert re.search(
        rf"{NAME} +greet somebody", lab.run(ann, "--help", program=program).ends(0).out.text
    )
    assert (
        lab.run(ann, NAME, "Ben", "--times", "2", program=program).ends(0).out.text
        == "Hello, Ben.\nHello, Ben.\n"
    )
    lab.run(ann, NAME, "--times", "0", program=program).ends(2)


@pytest.mark.parametrize("kind", LISTED_KINDS, ids=lambda kind: str(kind.name))
@pytest.mark.parametrize(
    "name", ["true", "3des", "cipher", "a", "x" * 32, "kem-pair", "import", "a--b"]
)
def test_every_allowed_name_gives_python_that_compiles(
    tmp_path: Path, kind: Kind[object], name: str
) -> None:
    """Also a keyword, a digit first, and names of what the templates import."""
    project = new(kind.name, name, tmp_path / "project")
    for file in project.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")
    points = tomllib.loads((project / "pyproject.toml").read_text())["project"]["entry-points"]
    (module,) = (project / "src").iterdir()
    assert points == {f"tallow.{kind.name}": {name: module.name}}
    assert module.name.isidentifier()
    left = {file.name for file in project.rglob("*") if file.is_file() and "$" in file.read_text()}
    assert left <= {"test.yml"}, "only the workflow has expressions of its own"


def test_what_an_index_and_a_forge_want_to_know(tmp_path: Path) -> None:
    """A licence, registered classifiers, the keyword that finds plugins, and a workflow."""
    project = new("cipher", NAME, tmp_path / "project")
    facts = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    assert facts["license"] in (project / "LICENSE").read_text()
    assert facts["license-files"] == ["LICENSE"]
    assert set(facts["classifiers"]) <= classifiers
    assert "tallow-plugin" in facts["keywords"]
    workflow = (project / ".github" / "workflows" / "test.yml").read_text()
    assert "${{ matrix.python }}" in workflow
    assert 'pip install --editable ".[test]"' in workflow


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a_b", "a.b", "x" * 33, "\u00e4", "a b", "../a", "\x1b[31m"]
)
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a driver") as caught:
        new("cipher", name, tmp_path / "project")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("cipher", "aes-256-gcm", "tallow .* has a cipher aes-256-gcm already"),
        ("command", "send", "tallow send is a command already"),
        ("command", "demo", "tallow .* has a command demo already"),
        ("cypher", "x", r'no kind "cypher" of plugin, did you mean "cipher"\?'),
        ("zzz", "x", r'no kind "zzz" of plugin; write one of cipher, .*, command, plugin$'),
    ],
)
def test_what_is_there_already(tmp_path: Path, kind: str, name: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        new(kind, name, tmp_path / "project")
    assert not (tmp_path / "project").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    new("hash", "x", project)
    before = tree(project)
    with pytest.raises(FileSystemError, match="is not empty, and nothing is overwritten"):
        new("kem", "x", project)
    assert tree(project) == before
    (tmp_path / "file").touch()
    with pytest.raises(FileSystemError, match="cannot be written"):
        new("kem", "x", tmp_path / "file")


def test_the_command_says_how_to_go_on(lab: Lab) -> None:
    ann = lab.place()
    process = lab.run(ann, "plugins", "new", "hash", "mine").ends(0)
    assert (ann.work / "tallow-hash-mine" / "pyproject.toml").is_file()
    for words in ("pip install", "pytest", "tallow plugins allow tallow-hash-mine"):
        assert words in process.err.text
    (event,) = (
        lab.run(ann, "plugins", "new", "hash", "mine", "--json", "--path", "there").ends(0).events
    )
    assert event == json.loads(
        '{"event": "project", "v": 1, "distribution": "tallow-hash-mine", "module":'
        ' "tallow_hash_mine", "path": "there"}'
    )
    lab.run(ann, "plugins", "new", "hash", "mine").ends(9)
