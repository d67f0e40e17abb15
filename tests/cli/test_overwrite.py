"""What happens where a name exists: --overwrite ask|never|rename|always, without a terminal."""

from __future__ import annotations

import pytest

from tests.kit.lab import Lab, Place, Tallow, tree


def ready(lab: Lab) -> tuple[Place, Place, Tallow]:
    """A sender of `file` and `album/photo`, and a receiver who has both names already."""
    ann, bob = lab.pair()
    for place, folder, content in ((ann, ann.work, "theirs"), (bob, bob.inbox, "mine")):
        (folder / "album").mkdir(parents=True)
        (folder / "album" / "photo").write_text(content)
        (folder / "file").write_text(content)
        assert place
    (ann.work / "album" / "new").write_text("theirs")
    return ann, bob, lab.send(ann, "album", "file")


def contents(bob: Place) -> dict[str, str]:
    return {
        path: (bob.inbox / path).read_text()
        for path, kind in tree(bob.inbox).items()
        if kind is not None
    }


RENAMED = {
    "album/photo": "mine",
    "file": "mine",
    "album (1)/photo": "theirs",
    "album (1)/new": "theirs",
    "file (1)": "theirs",
}
ALWAYS = {"album/photo": "theirs", "album/new": "theirs", "file": "theirs"}
NEVER = {"album/photo": "mine", "album/new": "theirs", "file": "mine"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], RENAMED),
        (["--overwrite", "ask"], RENAMED),
        (["--overwrite", "rename"], RENAMED),
        (["--overwrite", "always"], ALWAYS),
        (["--overwrite", "never"], NEVER),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("yes", [True, False], ids=["yes", "asked"])
def test_overwrite(lab: Lab, words: list[str], expected: dict[str, str], yes: bool) -> None:
    _, bob, sender = ready(lab)
    receiver = lab.start(
        bob,
        "receive",
        "-o",
        bob.inbox,
        "--json",
        *words,
        *(["--yes"] if yes else []),
        env={"TALLOW_CODE": sender.code},
        stdin="pipe",
    )
    receiver.feed("" if yes else "y\n")
    receiver.ends(0)
    sender.ends(0)
    assert contents(bob) == expected
    done = receiver.named("done")[0]
    if words[-1:] == ["never"]:
        assert {each["path"]: each["reason"] for each in done["skipped"]} == {
            "album/photo": "exists",
            "file": "exists",
        }
        assert "2 left alone because they exist here already" in receiver.err.text
    else:
        assert done["skipped"] == []
    landed = {event["path"] for event in receiver.named("file")}
    assert {path for path, content in expected.items() if content == "theirs"} <= landed


def test_the_setting(lab: Lab) -> None:
    _, bob, sender = ready(lab)
    bob.configure('[receive]\noverwrite = "always"\n')
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert contents(bob) == ALWAYS


def test_a_link_in_the_way_is_not_followed(lab: Lab) -> None:
    """T-05: what the link points at is left alone, and the link too."""
    ann, bob = lab.pair()
    bob.inbox.mkdir()
    (bob.home / "precious").write_text("mine")
    (bob.inbox / "file").symlink_to(bob.home / "precious")
    (ann.work / "file").write_text("theirs")
    sender = lab.send(ann, "file")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.home / "precious").read_text() == "mine"
    assert (bob.inbox / "file").is_symlink()
    assert (bob.inbox / "file (1)").read_text() == "theirs"
