"""`tallow plugins check`: what it runs, what it prints, and what it does about drivers that are
broken, strange, blocked or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallow_core.registry.kinds import CIPHER, KINDS
from tallow_core.testing.suite import CHECKS, CORE
from tests.kit.import_trace import TRACED, imported
from tests.kit.lab import Lab
from tests.kit.site import Site
from tests.kit.strange_drivers import LEAVES_PLAINTEXT, STRANGE, add


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "site")


def test_one_driver(lab: Lab) -> None:
    """A line for each check, in the order of the kit, and the counts."""
    checked = lab.run(lab.place(), "plugins", "check", "cipher:aes-256-gcm").ends(0)
    head, *lines, counts = checked.out.lines
    assert head.startswith("cipher:aes-256-gcm  tallow ")
    assert lines == [f"  ok      {check.__name__}" for check in CHECKS[CIPHER.name]]
    assert counts == f"1 driver, {len(lines)} checks: all passed"
    assert checked.err.text == ""


def test_all(lab: Lab) -> None:
    """Every installed driver of every kind, and the primitives of the core; those
    whose library is missing are named."""
    checked = lab.run(lab.place(), "plugins", "check", "--all", "--json").ends(0)
    subjects = {(event["kind"], event["name"]): event["state"] for event in checked.named("plugin")}
    assert {kind for kind, _ in subjects} == {"core", *(kind.name for kind in KINDS)}
    assert {name for kind, name in subjects if kind == "core"} == set(CORE)
    allowed = {subject for subject, state in subjects.items() if state == "allowed"}
    assert {(event["kind"], event["name"]) for event in checked.named("check")} == allowed
    assert {event["outcome"] for event in checked.named("check")} == {"passed"}
    (counts,) = checked.named("checked")
    assert (counts["drivers"], counts["checks"]) == (len(allowed), len(checked.named("check")))
    assert (counts["failed"], counts["passed_over"]) == (0, len(subjects) - len(allowed))


def test_a_driver_whose_library_is_missing(lab: Lab, site: Site) -> None:
    """Passed over by --all, an error where it is named; both name the extra to install."""
    add(site, STRANGE)
    (info,) = site.folder.glob("*.dist-info")
    (info / "entry_points.txt").write_text(
        "[tallow.cipher]\nstrange = tallow_strange_module [more]\n"
    )
    with (info / "METADATA").open("a") as metadata:
        metadata.write(
            "Provides-Extra: more\nRequires-Dist: nothing-of-that-name; extra == 'more'\n"
        )
    ann = lab.place()
    ann.configure('[plugins]\nallow = ["tallow-strange"]\n')
    passed = lab.run(ann, "plugins", "check", "--all", env=site.environment).ends(0)
    (line,) = [line for line in passed.out.lines if line.startswith("cipher:strange")]
    refused = lab.run(ann, "plugins", "check", "cipher:strange", env=site.environment).ends(10)
    for text in (line, refused.err.text):
        assert 'run `pip install "tallow-strange[more]"`' in text


def test_all_in_plain_words(lab: Lab) -> None:
    quiet = lab.run(lab.place(), "plugins", "check", "hash:blake3", "kem:x25519", "--quiet").ends(0)
    assert (
        quiet.out.text
        == f"2 drivers, {len(CHECKS['hash']) + len(CHECKS['kem'])} checks: all passed\n"
    )


def test_a_broken_driver(lab: Lab, site: Site) -> None:
    """Named with the check and its sentence; the others have their turn; exit 10."""
    add(site, LEAVES_PLAINTEXT)
    checked = lab.run(
        lab.place(), "plugins", "check", "cipher:strange", "hash:blake3", env=site.environment
    ).ends(10)
    failed = [line for line in checked.out.lines if line.startswith("  FAILED")]
    assert failed[0].startswith(
        "  FAILED  every_flipped_bit_is_refused: after a record with a flipped bit, unverified"
        " plaintext is left"
    )
    assert "  ok      every_bit_counts" in checked.out.lines
    assert checked.out.lines[-1].endswith(f": {len(failed)} failed")
    (sentence,) = [line for line in checked.err.lines if line.startswith("error: ")]
    assert "cipher:strange does not keep the contract" in sentence
    assert 'block = ["cipher:strange"]' in sentence
    quiet = lab.run(
        lab.place(), "plugins", "check", "--quiet", "cipher:strange", env=site.environment
    ).ends(10)
    assert quiet.out.lines[0].startswith("  FAILED  cipher:strange every_flipped_bit_is_refused: ")


def test_a_broken_driver_in_json(lab: Lab, site: Site) -> None:
    add(site, LEAVES_PLAINTEXT)
    checked = lab.run(
        lab.place(), "plugins", "check", "--json", "cipher:strange", env=site.environment
    ).ends(10)
    outcomes = {
        event["check"]: (event["outcome"], bool(event["message"]))
        for event in checked.named("check")
    }
    assert outcomes["sizes_are_sensible"] == ("passed", False)
    assert outcomes["every_flipped_bit_is_refused"] == ("failed", True)
    assert checked.events[-2]["event"] == "checked"
    assert checked.events[-1]["name"] == "plugin"


def test_naming_a_driver_allows_it_for_the_check(lab: Lab, site: Site) -> None:
    """That is how its author checks it; --all never imports what the config does not allow."""
    add(site, 'from pathlib import Path\nPath(__file__).with_name("imported").touch()\n' + STRANGE)
    ann, trace = lab.place(), site.folder / "imported"
    everything = lab.run(ann, "plugins", "check", "--all", "--json", env=site.environment).ends(0)
    (passed_over,) = [event for event in everything.named("plugin") if event["name"] == "strange"]
    assert passed_over["state"] == "blocked"
    assert "tallow-strange" in passed_over["reason"]
    assert not trace.exists()
    named = lab.run(ann, "plugins", "check", "cipher:strange", env=site.environment).ends(0)
    assert "is not allowed in the config; it is imported for this check only" in named.err.text
    assert trace.exists()
    listed = lab.run(
        ann, "plugins", "list", "--json", "--kind", "cipher", env=site.environment
    ).ends(0)
    assert {event["name"]: event["state"] for event in listed.events}["strange"] == "blocked"


def test_a_blocked_driver_stays_blocked(lab: Lab, site: Site) -> None:
    add(site, STRANGE)
    ann = lab.place()
    ann.configure('[plugins]\nblock = ["cipher:strange"]\n')
    refused = lab.run(ann, "plugins", "check", "cipher:strange", env=site.environment).ends(10)
    assert "`[plugins] block` names this driver" in refused.err.text
    passed = lab.run(ann, "plugins", "check", "--all", env=site.environment).ends(0)
    assert [line for line in passed.out.lines if line.startswith("cipher:strange  passed over: ")]
    assert passed.out.lines[-1].endswith(" passed over")


def test_a_foreign_driver_of_our_name_is_not_taken_for_ours(lab: Lab, site: Site) -> None:
    """Naming aes-256-gcm checks tallow's own, whoever else offers one."""
    add(site, "raise SystemExit(3)", name="aes-256-gcm")
    for words in (["cipher:aes-256-gcm"], ["--all"]):
        checked = lab.run(lab.place(), "plugins", "check", *words, env=site.environment).ends(0)
        assert [
            line for line in checked.out.lines if line.startswith("cipher:aes-256-gcm  tallow ")
        ]


def test_two_foreign_drivers_of_one_name(lab: Lab, site: Site) -> None:
    add(site, STRANGE)
    add(site, STRANGE, distribution="tallow-stranger")
    refused = lab.run(lab.place(), "plugins", "check", "cipher:strange", env=site.environment).ends(
        10
    )
    assert "both provide it" in refused.err.text


@pytest.mark.parametrize("source", ["import nothing_of_that_name", "raise SystemExit(3)", "x = 1"])
def test_a_driver_that_cannot_be_loaded(lab: Lab, site: Site, source: str) -> None:
    add(site, source)
    checked = lab.run(
        lab.place(), "plugins", "check", "cipher:strange", "hash:blake3", env=site.environment
    ).ends(10)
    assert [
        line
        for line in checked.out.lines
        if line.startswith(
            "  FAILED  can_be_loaded: the plugin cipher:strange of tallow-strange 1.5"
        )
    ]
    assert "  ok      every_bit_counts" in checked.out.lines


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ([], 2, "say what to check"),
        (["--all", "hash:blake3"], 2, "say what to check"),
        (["hash"], 2, "write KIND:NAME"),
        (["hash:"], 2, "names no driver"),
        (["hahs:blake3"], 2, 'did you mean "hash"?'),
        (["hash:blake33"], 10, 'did you mean "blake3"?'),
        (["core:nothing"], 10, "no primitive"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_checked(lab: Lab, words: list[str], status: int, why: str) -> None:
    refused = lab.run(lab.place(), "plugins", "check", *words).ends(status)
    assert why in refused.err.text
    assert refused.out.text == ""


def test_it_leaves_nothing_behind(lab: Lab) -> None:
    """Keys, records and sockets of the checks lie in a folder that goes with them."""
    ann = lab.place()
    temporary = ann.work / "tmp"
    temporary.mkdir()
    lab.run(
        ann,
        "plugins",
        "check",
        "transport:tls",
        "discovery:local",
        "--quiet",
        env={"TMPDIR": str(temporary)},
    ).ends(0)
    assert list(temporary.iterdir()) == []
    assert not [
        path for path in (*ann.state_home.rglob("*"), *ann.runtime.rglob("*")) if path.is_file()
    ]


def test_on_a_terminal(lab: Lab) -> None:
    """The running check is shown, and marks have colours, unless NO_COLOR says otherwise."""
    ann = lab.place()
    coloured = lab.run(ann, "plugins", "check", "hash:blake3", terminal=True).ends(0)
    assert (
        "  ...     every_bit_counts\r  \x1b[32mok    \x1b[0m  every_bit_counts" in coloured.out.text
    )
    plain = lab.run(
        ann, "plugins", "check", "hash:blake3", terminal=True, env={"NO_COLOR": "1"}
    ).ends(0)
    assert "  ...     every_bit_counts\r  ok      every_bit_counts" in plain.out.text
    assert "\x1b[3" not in plain.out.text


def test_its_help_imports_no_driver(lab: Lab) -> None:
    process = lab.run(lab.place(), "plugins", "check", "--help", program=TRACED).ends(0)
    modules = imported(process)
    assert not {name.partition(".")[0] for name in modules} & {
        "tallow_plugins",
        "cryptography",
        "blake3",
        "cpace",
        "pluggy",
        "stevedore",
    }
    assert "tallow_core.testing" not in modules
