"""Tables of medians, and the same as data. All ratios are to the first case of the group, in the
same round; an aim may name another case."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.processes import floor
from benchmarks.samples import ROLES, Aim, Case, Figure, Group, Sample

Samples = Mapping[str, Sequence[Sample | None]]
"""By case: one for each round, None where it failed."""

_MIB = 1 << 20
_DASH = "-"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return (
            f"{self.median:.2f} ({self.least:.2f}-{self.most:.2f})"
            if self.least != self.most
            else f"{self.median:.2f}"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """One case: its figures, their ratios to the first case, and those to the case that an aim
    names."""

    case: Case
    samples: Sequence[Sample]
    figures: Mapping[Figure, Spread]
    ratios: Mapping[Figure, Spread]
    others: Mapping[Figure, Spread]

    def met(self, figure: Figure) -> bool | None:
        """Whether the aim of a figure was met; None if it has none, or was not measured."""
        aim = self.case.aims.get(figure)
        if aim is None or (value := self._aimed(figure, aim)) is None:
            return None
        return aim.met(value.most if figure == "peak" else value.median)

    def _aimed(self, figure: Figure, aim: Aim) -> Spread | None:
        if figure == "peak":
            return self.figures.get(figure)
        return (self.others if aim.of else self.ratios).get(figure)


def value(figure: Figure, sample: Sample, amount: float) -> float | None:
    """One figure of one sample: units a second, seconds, CPU seconds a unit, or MiB of the largest
    process."""
    match figure:
        case "rate":
            return amount / sample.seconds
        case "seconds":
            return sample.seconds
        case "whole":
            return sample.whole
        case "cpu":
            return sample.cpu / amount if sample.costs else None
        case "peak":
            return max((cost.peak for cost in sample.costs.values()), default=0) / _MIB or None


def results(group: Group, samples: Samples) -> list[Result]:
    """Put the samples of all cases together."""
    return [_result(group, case, samples) for case in group.cases]


def _result(group: Group, case: Case, samples: Samples) -> Result:
    runs = [run for run in samples.get(case.name, ()) if run is not None]
    figures: dict[Figure, Spread] = {}
    for figure in group.figures if runs else ():
        measured = [value(figure, run, group.amount) for run in runs]
        if found := [one for one in measured if one is not None]:
            figures[figure] = Spread.of(found)
    first = dict.fromkeys(figures, group.cases[0].name)
    named: dict[Figure, str] = {figure: aim.of for figure, aim in case.aims.items() if aim.of}
    ratios, others = (_ratios(case.name, to, samples, group.amount) for to in (first, named))
    return Result(case, runs, figures, ratios, others)


def _ratios(
    name: str, to: Mapping[Figure, str], samples: Samples, amount: float
) -> dict[Figure, Spread]:
    """The ratios of a case to that which `to` names for the figure, over the rounds in which both
    were measured; the other may be missing here."""
    found: dict[Figure, Spread] = {}
    for figure, other in to.items():
        pairs = [
            (value(figure, run, amount), value(figure, base, amount))
            for run, base in zip(samples.get(name, ()), samples.get(other, ()), strict=False)
            if run is not None and base is not None
        ]
        if both := [one / base for one, base in pairs if one is not None and base]:
            found[figure] = Spread.of(both)
    return found


def show(group: Group, found: Sequence[Result]) -> None:
    """Print the table of a group."""
    print(f"\n{group.title}\n")
    rows = [_headings(group), *(_row(group, result) for result in found)]
    widths = [
        max(len(row[column]) for row in rows if len(row) > 2) for column in range(len(rows[0]))
    ]
    for first, *cells in rows:
        line = f"{first:<{widths[0]}}"
        if len(cells) == 1:
            line += f"  {cells[0]}"
        else:
            line += "".join(
                f"{cell:>{width + 2}}" for cell, width in zip(cells, widths[1:], strict=True)
            )
        print(line.rstrip(), flush=True)


_NAMES: Mapping[Figure, str] = {
    "rate": "{unit}/s",
    "seconds": "done s",
    "whole": "whole s",
    "cpu": "CPU s/{unit}",
    "peak": "peak MiB",
}


def _aimed(group: Group) -> set[Figure]:
    return {figure for case in group.cases for figure in case.aims}


def _headings(group: Group) -> list[str]:
    row = [""]
    for figure in group.figures:
        row.append(_NAMES[figure].format(unit=group.unit).rstrip("/"))
        if figure in group.compared:
            row.append(f"x {group.cases[0].name}")
        if figure in _aimed(group):
            row.append("aim")
    return row


def _row(group: Group, result: Result) -> list[str]:
    if not result.samples:
        return [result.case.name, f"missing: {result.case.missing or 'it failed (see above)'}"]
    row = [result.case.name]
    for figure in group.figures:
        spread = result.figures.get(figure)
        row.append(
            _peaks(result)
            if figure == "peak"
            else _DASH
            if spread is None
            else f"{spread.median:.{_digits(spread.median)}f}"
        )
        if figure in group.compared:
            row.append(_ratio(result, figure))
        if figure in _aimed(group):
            row.append(_aim(result, figure))
    return row


def _digits(number: float) -> int:
    return 3 if number < 1 else 2


def _ratio(result: Result, figure: Figure) -> str:
    if (spread := result.ratios.get(figure)) is None:
        return _DASH
    return f"{spread.median:.2f}" if figure == "cpu" else str(spread)


def _aim(result: Result, figure: Figure) -> str:
    if (met := result.met(figure)) is None:
        return ""
    other = result.others.get(figure)
    ratio = "" if other is None else f" {other.median:.2f}"
    return f"{result.case.aims[figure]}{ratio} {'ok' if met else 'NO'}"


def _peaks(result: Result) -> str:
    """Of each process: sender, receiver, relay. What is not above our own peak is not known
    better."""
    cells = []
    for role in ROLES:
        peaks = [run.costs[role].peak for run in result.samples if role in run.costs]
        if peaks:
            cells.append(
                f"{max(peaks) / _MIB:.0f}" if max(peaks) > floor() else f"<{floor() / _MIB:.0f}"
            )
    return " ".join(cells) or _DASH


def data(group: Group, found: Sequence[Result]) -> dict[str, Any]:
    """The same for programs: every sample, medians, ratios and aims."""
    return {
        "name": group.name,
        "title": group.title,
        "unit": group.unit,
        "amount": group.amount,
        "base": group.cases[0].name,
        "cases": [_case(result) for result in found],
    }


def _case(result: Result) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "missing": result.case.missing or None,
        "samples": [asdict(run) for run in result.samples],
        "figures": {figure: asdict(spread) for figure, spread in result.figures.items()},
        "ratios": {figure: asdict(spread) for figure, spread in result.ratios.items()},
        "aims": {
            figure: {
                "aim": str(aim),
                "met": result.met(figure),
                **({"ratio": asdict(result.others[figure])} if figure in result.others else {}),
            }
            for figure, aim in result.case.aims.items()
        },
    }
