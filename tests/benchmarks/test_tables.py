"""What the tables and the data of the benchmarks say, from samples that the test makes up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import table
from benchmarks.processes import Cost
from benchmarks.samples import Aim, Aims, Case, Group, Sample

MIB = 1 << 20


def ran(seconds: float, *, cpu: float = 1.0, peak: int = 500) -> Sample:
    return Sample(
        seconds,
        seconds + 1,
        {
            "sender": Cost(cpu, peak * MIB, seconds),
            "receiver": Cost(cpu, peak * MIB * 3 // 5, seconds),
        },
    )


def never(work: Path) -> Sample:
    raise AssertionError(work)


def group(*cases: Case) -> Group:
    return Group(
        "file", "A title", "GB", 2.0, cases, ("rate", "whole", "cpu", "peak"), ("rate", "cpu")
    )


def judged(
    samples: Sequence[Sample | None], aim: Aim, base: Sequence[Sample | None]
) -> table.Result:
    cases = (Case("plain", never), Case("ours", never, {"rate": aim}))
    return table.results(group(*cases), {"plain": base, "ours": samples})[1]


def test_ratios_are_to_the_same_round() -> None:
    found = judged([ran(2), ran(40), ran(6)], Aim(0.5, least=True), [ran(1), ran(10), ran(6)])
    assert found.ratios["rate"] == table.Spread(0.5, 0.25, 1.0)
    assert found.figures["rate"].median == pytest.approx(2 / 6)
    assert found.figures["cpu"].median == pytest.approx(1.0)  # 2 s of CPU for 2 GB
    assert found.met("rate") is True


def test_an_aim_may_name_another_case(capsys: pytest.CaptureFixture[str]) -> None:
    aims: Aims = {"rate": Aim(0.95, least=True, of="tcp")}
    tested = group(Case("plain", never), Case("tcp", never), Case("by-proxy", never, aims))
    samples: dict[str, list[Sample | None]] = {
        "plain": [ran(1), ran(1), ran(1)],
        "tcp": [ran(2), None, ran(5)],
        "by-proxy": [ran(2.5), ran(9), ran(5)],
    }
    found = table.results(tested, samples)
    assert found[2].ratios["rate"] == table.Spread(0.2, 1 / 9, 0.4)
    assert found[2].others == {"rate": table.Spread(0.9, 0.8, 1.0)}
    assert found[2].met("rate") is False
    aimed = table.data(tested, found)["cases"][2]["aims"]["rate"]
    assert aimed == {
        "aim": ">=0.95 of tcp",
        "met": False,
        "ratio": {"median": 0.9, "least": 0.8, "most": 1.0},
    }
    table.show(tested, found)
    assert ">=0.95 of tcp 0.90 NO" in capsys.readouterr().out


def test_an_aim_is_missed_below_it() -> None:
    assert judged([ran(2)], Aim(0.51, least=True), [ran(1)]).met("rate") is False


def test_a_round_that_failed_is_left_out_on_both_sides() -> None:
    found = judged([None, ran(4), ran(1)], Aim(1, least=True), [ran(1), ran(1), None])
    assert found.ratios["rate"] == table.Spread(0.25, 0.25, 0.25)
    assert len(found.samples) == 2


def test_peaks_are_held_at_their_worst() -> None:
    case = Case("memory", never, {"peak": Aim(128)})
    (found,) = table.results(
        group(case), {"memory": [ran(1, peak=100), ran(1, peak=129), ran(1, peak=100)]}
    )
    assert found.met("peak") is False


def test_rows_say_what_is_missing_and_what_was_missed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        table, "floor", lambda: 0
    )  # that of this process depends on the tests that it ran before
    cases = (
        Case("plain", never),
        Case("ours", never, {"rate": Aim(0.8, least=True), "cpu": Aim(2)}),
        Case("other", never, missing="other is not installed"),
    )
    tested = group(*cases)
    table.show(tested, table.results(tested, {"plain": [ran(1)], "ours": [ran(2)]}))
    lines = capsys.readouterr().out.splitlines()
    assert "missing: other is not installed" in lines[-1]
    ours = next(line for line in lines if line.startswith("ours"))
    assert ">=0.8 NO" in ours
    assert "<=2 ok" in ours
    assert "500 300" in ours
    assert max(map(len, lines)) <= 120


def test_a_missing_base_leaves_figures_without_ratios() -> None:
    tested = group(Case("plain", never, missing="no"), Case("ours", never))
    found = table.results(tested, {"ours": [ran(2)]})
    assert found[1].figures["rate"].median == 1
    assert not found[1].ratios
    assert table.data(tested, found)["cases"][0]["missing"] == "no"
