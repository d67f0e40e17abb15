"""`tallow policy show` and `tallow policy explain`, run as a person runs them."""

from __future__ import annotations

import json

import pytest

from tests.kit.lab import Lab

RULES = """
[policy]
deny = ["kem:x25519"]
[[policy.rule]]
when = { transport = "tcp", relay = true }
ciphers = ["chacha20-poly1305"]
"""


def test_show_says_where_each_value_comes_from(lab: Lab) -> None:
    ann = lab.place()
    ann.configure(RULES)
    shown = lab.run(ann, "policy", "show").ends(0).out.text
    assert f"deny            kem:x25519  ({ann.config_file})" in shown
    assert "require         post-quantum  (default)" in shown
    assert (
        'rule 1          when transport = "tcp" and relay = true: ciphers chacha20-poly1305'
        f"  ({ann.config_file})" in shown
    )
    assert f"denied by `[policy] deny` ({ann.config_file})" in shown


def test_a_rule_applies_on_its_path_only(lab: Lab) -> None:
    ann = lab.place()
    ann.configure(RULES)
    offers = {}
    for words in (
        (),
        ("--over", "tls", "--relayed"),
        ("--over", "tcp"),
        ("--over", "tcp", "--relayed"),
    ):
        (event,) = lab.run(ann, "policy", "show", "--json", *words).ends(0).events
        offers[words] = (event["rule"], event["offer"]["cipher"])
    relayed = offers.pop(("--over", "tcp", "--relayed"))
    assert relayed == (1, ["chacha20-poly1305"])
    assert all(rule == 0 and len(ciphers) > 1 for rule, ciphers in offers.values())


def test_explain_names_the_choice_and_why_every_other_is_not(lab: Lab) -> None:
    ann = lab.place()
    ann.configure(RULES)
    events = {
        event["kind"]: event
        for event in lab.run(ann, "policy", "explain", "--json", "--against", "paranoid")
        .ends(0)
        .events
    }
    assert events.keys() == {"kem", "cipher", "hash", "authenticator", "compressor"}
    assert events["kem"]["chosen"] == "x25519-ml-kem-1024"
    assert events["kem"]["others"] == {
        "ml-kem-1024": "the other side does not offer it",
        "x25519": f"denied by `[policy] deny` ({ann.config_file})",
    }
    assert events["compressor"]["chosen"] == "none", (
        "paranoid admits no compression, so neither side compresses"
    )
    plain = lab.run(ann, "policy", "explain", "--against", "paranoid").ends(0).out.text
    assert "kem            x25519-ml-kem-1024  (it is number 1 here and number 1 there)" in plain
    assert "  not ml-kem-1024            the other side does not offer it" in plain


def test_explain_against_the_offer_of_somebody_else(lab: Lab) -> None:
    ann, bob = lab.pair()
    bob.configure('[policy]\nrequire = []\nkems = ["x25519", "ml-kem-1024"]\n')
    (event,) = lab.run(bob, "policy", "show", "--json").ends(0).events
    offer = ann.work / "offer.json"
    for written in (json.dumps(event), json.dumps(event["offer"])):
        offer.write_text(written)
        choices = (
            lab.run(ann, "policy", "explain", "--json", "--offer", "offer.json").ends(0).events
        )
        assert choices[0]["chosen"] == "ml-kem-1024"
        assert choices[0]["others"]["x25519"].startswith("not post-quantum")


def test_explain_ends_with_3_where_nothing_is_common(lab: Lab) -> None:
    ann = lab.place()
    offer = {
        "kem": ["x25519"],
        "cipher": ["aes-256-gcm"],
        "hash": ["blake3"],
        "authenticator": ["cpace"],
        "compressor": ["none"],
    }
    (ann.work / "offer.json").write_text(json.dumps(offer))
    process = lab.run(ann, "policy", "explain", "--offer", "offer.json").ends(3)
    assert "kem            none  (the two sides share none)" in process.out.text
    assert "the two sides share no kem" in process.err.text


@pytest.mark.parametrize(
    "written",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"kem": []}',
        '{"offer": 3}',
        '{"kem": ["UP"], "cipher": ["a"], "hash": ["b"], "authenticator": ["c"], "compressor":'
        ' ["d"]}',
    ],
)
def test_an_offer_that_is_none(lab: Lab, written: str) -> None:
    ann = lab.place()
    (ann.work / "offer.json").write_text(written)
    process = lab.run(ann, "policy", "explain", "--offer", "offer.json").ends(2)
    assert "offer.json" in process.err.text


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["show", "--relayed"], 2, "--relayed needs --over"),
        (["show", "--over", "tpc"], 3, 'did you mean "tcp"'),
        (["explain", "--offer", "missing"], 2, "cannot be read"),
        (["explain", "--offer", "x", "--against", "nist"], 2, "exclude each other"),
        (["show", "--profile", "parnoid"], 2, "profile"),
    ],
)
def test_words_that_do_not_fit(lab: Lab, words: list[str], status: int, told: str) -> None:
    process = lab.run(lab.place(), "policy", *words).ends(status)
    assert told in process.err.text


def test_show_prints_a_policy_that_leaves_nothing_and_ends_with_3(lab: Lab) -> None:
    ann = lab.place()
    ann.configure('[policy]\nrequire = ["post-quantun"]\n')
    process = lab.run(ann, "policy", "show").ends(3)
    assert "not post-quantun, which `[policy] require`" in process.out.text
    assert 'did you mean "post-quantum"?' in process.err.text


def test_a_profile_of_the_file_is_not_replaced_by_a_flag(lab: Lab) -> None:
    ann = lab.place()
    ann.configure('[policy]\nprofile = "paranoid"\n')
    process = lab.run(ann, "policy", "show", "--profile", "fast").ends(3)
    assert 'sets `[policy] profile = "paranoid"`' in process.err.text
    lab.run(ann, "policy", "show", "--profile", "paranoid").ends(0)
