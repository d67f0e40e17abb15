"""The tutorial on plugins, pasted line by line into a fresh environment with a pip of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.checkout import ROOT
from tests.kit.wheelhouse import wheelhouse

TUTORIAL = ROOT / "docs" / "tutorial" / "first-plugin.md"
PROJECT = "contrib/tallow-cipher-xchacha20-poly1305/"
OTHER_TERMINAL = "the other terminal"
SECONDS = 170

_BLOCK = re.compile(r"(?:<!-- ([^>]+?) -->\n)?```(\w+)\n(.*?)```\n", re.DOTALL)

_SEND = """
{line} > sent.txt 2>&1 &
sender=$!
for _ in $(seq 600); do grep -q ^Code: sent.txt && break; sleep 0.1; done
code=$(sed -n 's/^Code: //p' sent.txt)
"""
_RECEIVE = """
printf '%s\\ny\\n' "$code" | {line}
wait $sender
"""


def commands(text: str) -> list[str]:
    """What is typed in a console block; the rest is what the screen shows."""
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def pasted(path: str, text: str, begun: set[str]) -> str:
    """Shell lines that put a quoted piece into its file: a line of a TOML file takes the place of
    the one with the same key, the first piece of a module that of the module."""
    name = path.removeprefix(PROJECT)
    if name.endswith(".toml"):
        key = text.partition(" =")[0]
        return (
            f"sed -i 's|^{key} = .*|{text.strip()}|' {name}" if "=" in text.split("\n")[0] else ""
        )
    how = ">>" if name in begun else ">"
    begun.add(name)
    blank = "\n\n" if how == ">>" else ""
    return f"cat {how} {name} <<'END_OF_PIECE'\n{blank}{text}END_OF_PIECE"


def script() -> str:
    """All of the page as one shell script."""
    lines, begun = ["set -eux"], set[str]()
    for mark, language, text in _BLOCK.findall(TUTORIAL.read_text("utf-8")):
        if mark.startswith(PROJECT):
            lines.append(pasted(mark, text, begun))
        elif language == "console":
            for line in commands(text):
                form = _RECEIVE if mark == OTHER_TERMINAL else "{line}"
                lines.append((_SEND if line.startswith("tallow send") else form).format(line=line))
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
def test_it_works_as_it_is_pasted(tmp_path: Path) -> None:
    house = wheelhouse(tmp_path / "wheels", "pytest", "hatchling", "editables", "pynacl")
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info[1]}")
    environment = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(house),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        ["bash"],
        input=script(),
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    inbox = tmp_path / "tallow-cipher-xchacha20-poly1305" / "inbox"
    assert (inbox / "note.txt").read_text() == "sealed by my own cipher\n"
    assert "xchacha20-poly1305" in done.stdout


def test_nothing_needs_a_pip_that_knows_groups() -> None:
    assert "--group" not in script()
    assert "tallow plugins allow" in script()
