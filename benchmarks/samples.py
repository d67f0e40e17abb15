"""What one run of a case measured, and what all of them come to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from benchmarks.processes import Child, Cost

Role = Literal["sender", "receiver", "relay"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: `seconds` that the data took by the receiver's clock (the whole commands, where
    nothing tells more), `whole` seconds from the start of the first command to the end of the last,
    and what each process cost. A server between them counts as `relay`."""

    seconds: float
    whole: float
    costs: Mapping[Role, Cost] = field(default_factory=dict)

    @property
    def cpu(self) -> float:
        """Seconds of CPU of all processes, start-up included."""
        return sum(cost.cpu for cost in self.costs.values())


Run: TypeAlias = Callable[[Path], Sample]
"""Runs a case once, in an empty folder of its own that is removed afterwards."""

Figure = Literal["rate", "seconds", "whole", "cpu", "peak"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be: at least or at most `bound`; `peak` in MiB, all others as a ratio to
    the case `of`, or to the first one of the group."""

    bound: float
    least: bool = False
    of: str = ""

    def met(self, value: float) -> bool:
        """Whether `value` reaches it."""
        return value >= self.bound if self.least else value <= self.bound

    def __str__(self) -> str:
        of = f" of {self.of}" if self.of else ""
        return f"{'>=' if self.least else '<='}{self.bound:g}{of}"


Aims: TypeAlias = Mapping[Figure, Aim]


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `missing` says why it cannot run here; then `run` is not called."""

    name: str
    run: Run
    aims: Aims = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """One table: cases that take turns, the first of which all others are compared with. `amount`
    of `unit` is what each moves; of the figures that are `compared`, ratios are shown too."""

    name: str
    title: str
    unit: str
    amount: float
    cases: Sequence[Case]
    figures: Sequence[Figure]
    compared: Sequence[Figure]
    rounds: int = 3


def sample(children: Mapping[Role, Child], seconds: float | None = None) -> Sample:
    """Wait until all `children` have ended (well), and put together what they cost; relays are not
    waited for, but told to end."""
    costs: dict[Role, Cost] = {
        role: child.finish() for role, child in children.items() if role != "relay"
    }
    ends = [children[role] for role in costs]
    whole = max(child.ended for child in ends) - min(child.began for child in ends)
    if "relay" in children:
        children["relay"].terminate()
        costs["relay"] = children["relay"].finish(status=None)
    return Sample(whole if seconds is None else seconds, whole, costs)


def once(run: Run, folder: Path) -> Sample:
    """Run a case in a fresh folder below `folder`."""
    work = Path(tempfile.mkdtemp(prefix="work-", dir=folder))
    try:
        return run(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
