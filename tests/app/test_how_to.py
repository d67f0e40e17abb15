"""The examples of docs/how-to/use-from-python.md, run as the scripts they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.lab import Lab, Place

pytestmark = pytest.mark.processes
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-from-python.md"
_SCRIPT = re.compile(r"`(\w+\.py)`:\n```python\n(.*?)```\n", re.DOTALL)
_SNIPPET = re.compile(r"\n```python\n(.*?)```\n", re.DOTALL)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with the scripts of the page."""
    found = dict(_SCRIPT.findall(PAGE.read_text("utf-8")))
    assert found.keys() == {"send.py", "receive.py"}
    for name, text in found.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def start(place: Place, script: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), *words],
        env=place.environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_folder_moves_between_two_scripts(lab: Lab, scripts: Path) -> None:
    ann, bob = lab.pair()
    folder = ann.work / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").write_text("a", "utf-8")
    (folder / "below" / "b.bin").write_bytes(bytes(70_000))
    output = bob.work / "out"
    sender = start(ann, scripts / "send.py", str(folder))
    assert sender.stdout is not None
    code = sender.stdout.readline()
    receiver = start(bob, scripts / "receive.py", str(output))
    said, listed = receiver.communicate(code, timeout=60)
    rest, events = sender.communicate(timeout=60)
    assert (receiver.returncode, sender.returncode) == (0, 0), listed + events
    assert said == "2 files, 70001 bytes\n"
    assert rest == "", "nothing is printed but what the script prints"
    assert listed.splitlines() == [
        "folder 0",
        "folder/a.txt 1",
        "folder/below 0",
        "folder/below/b.bin 70000",
    ]
    names = [line.partition("(")[0] for line in events.splitlines()]
    assert [name for name in names if name not in ("ProgressMade", "FileDone")] == [
        "CodeReady",
        "PeerProved",
        "SuiteAgreed",
        "OfferMade",
        "TransferDone",
    ]
    assert (output / "folder" / "below" / "b.bin").read_bytes() == bytes(70_000)


def test_the_other_examples_run(lab: Lab) -> None:
    place = lab.place()
    page = PAGE.read_text("utf-8")
    snippets = [
        each for each in _SNIPPET.findall(page) if each not in dict(_SCRIPT.findall(page)).values()
    ]
    assert len(snippets) == 1
    for snippet in snippets:
        subprocess.run(
            [sys.executable, "-c", snippet],
            env=place.environment({}),
            timeout=60,
            check=True,
        )
