"""What `tallow plugins check` does and prints: the conformance kit, over installed drivers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tallow_core.cli.views.output import put, results, say
from tallow_core.cli.views.reporters import JsonReporter
from tallow_core.config.schema import Settings
from tallow_core.errors import EXIT_DONE, PluginError, UsageError
from tallow_core.events import CheckEnded, ChecksEnded, PluginListed
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.check_record import CheckRecord
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.subjects import Subject, everything, named, of_distribution, scratch
from tallow_core.testing.suite import Check
from tallow_core.text import printable

_GREEN, _RED, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


@dataclass
class CheckCounts:
    """How it went so far. `broken` are the drivers that failed a check or could not be loaded."""

    drivers: int = 0
    checks: int = 0
    failed: int = 0
    passed_over: int = 0
    broken: list[str] = field(default_factory=list)


class Report(Protocol):
    """Where the course of it is shown."""

    def subject(self, subject: Subject) -> None:
        """The checks of `subject` follow, or it is passed over."""

    def begins(self, check: str) -> None:
        """A check runs now; it may take a while."""

    def ended(self, subject: Subject, check: str, message: str, seconds: float) -> None:
        """The check is over; `message` says why it failed, or is empty."""

    def done(self, counts: CheckCounts) -> None:
        """That was all."""


def check_plugins(
    names: Sequence[str], *, all_of_them: bool, settings: Settings, report: Report
) -> int:
    """Hold drivers to the contract of their kind; `PluginError` if one breaks it. A broken one does
    not keep the others from their turn."""
    if bool(names) == all_of_them:
        raise UsageError("say what to check: KIND:NAME, or --all for every installed driver")
    subjects = (
        everything(settings.plugins)
        if all_of_them
        else [named(name, settings.plugins) for name in dict.fromkeys(names)]
    )
    counts = _run(subjects, settings, report)
    if counts.broken:
        block = ", ".join(f'"{name}"' for name in counts.broken)
        raise PluginError(
            f"{_broken(counts)}; to go on without, write `[plugins] block = [{block}]` in the"
            " config file"
        )
    return EXIT_DONE


def check_distribution(name: str, settings: Settings, report: Report) -> None:
    """Check all that a distribution provides, as if it were allowed; `PluginError` if a check
    fails. What has no checks (commands, hooks) is loaded."""
    counts = _run(of_distribution(name, settings.plugins), settings, report)
    if counts.broken:
        raise PluginError(
            f"{printable(name)} is not allowed: {_broken(counts)}; to allow it even so, repeat with"
            " --no-check"
        )


def report_for(settings: Settings, *, json: bool, quiet: bool) -> Report:
    """Events or lines, as the options ask."""
    if not json:
        return PlainReport(quiet=quiet)
    return JsonReport(JsonReporter(results(), 0, quiet=quiet), CheckRecord(settings.directories))


def _run(subjects: Iterable[Subject], settings: Settings, report: Report) -> CheckCounts:
    """Check all, and keep the outcomes in the record of checks."""
    counts = CheckCounts()
    record = CheckRecord(settings.directories)
    with scratch() as scratched:
        for subject in subjects:
            _check_one(subject, scratched, report, counts)
            if subject.entry is not None and not subject.passed_over:
                record.enter(subject.entry, passed=str(subject) not in counts.broken)
    report.done(counts)
    return counts


def _broken(counts: CheckCounts) -> str:
    verb = (
        "does not keep the contract of its kind"
        if len(counts.broken) == 1
        else "do not keep the contract of their kind"
    )
    return f"{' and '.join(counts.broken)} {verb}"


def _check_one(
    subject: Subject, settings: DriverSettings, report: Report, counts: CheckCounts
) -> None:
    report.subject(subject)
    if subject.passed_over:
        counts.passed_over += 1
        return
    counts.drivers += 1
    before = counts.failed
    for check in _checks(subject, settings):
        report.begins(check.name)
        began = time.monotonic()
        message = _outcome(check)
        report.ended(subject, check.name, message, time.monotonic() - began)
        counts.checks += 1
        counts.failed += bool(message)
    if counts.failed > before:
        counts.broken.append(str(subject))


def _checks(subject: Subject, settings: DriverSettings) -> Iterable[Check]:
    try:
        return subject.checks(settings) or [Check("can_be_loaded", lambda: None)]
    except PluginError as error:
        return [Check("can_be_loaded", _raising(error))]


def _raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise ConformanceError(str(error))

    return fail


def _outcome(check: Check) -> str:
    try:
        check.run()
    except ConformanceError as error:
        return printable(" ".join(str(error).split())) or "no reason is given"
    return ""


class PlainReport:
    """A line for each check, with a mark; colour and the name of the running check only on a
    terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._live = results().isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._live and not os.environ.get("NO_COLOR")

    def subject(self, subject: Subject) -> None:
        """A heading."""
        if self._quiet:
            return
        if subject.passed_over:
            put(f"{subject}  passed over: {subject.passed_over}")
            return
        put(f"{subject}  {printable(f'{subject.distribution} {subject.version}')}")
        if subject.borrowed:
            say(
                "warning: its distribution is not allowed in the config; it is imported for this"
                " check only"
            )

    def begins(self, check: str) -> None:
        """What the line of the result will replace."""
        if self._live and not self._quiet:
            put(f"  ...     {check}", end="")

    def ended(self, subject: Subject, check: str, message: str, seconds: float) -> None:
        """The result."""
        back = "\r" if self._live and not self._quiet else ""
        if message:
            put(
                f"{back}  {self._mark('FAILED', _RED)}"
                f"  {f'{subject} ' if self._quiet else ''}{check}: {message}"
            )
        elif not self._quiet:
            put(f"{back}  {self._mark('ok    ', _GREEN)}  {check}")

    def _mark(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._coloured else text

    def done(self, counts: CheckCounts) -> None:
        """The counts."""
        result = f"{counts.failed} failed" if counts.failed else "all passed"
        over = f"; {counts.passed_over} passed over" if counts.passed_over else ""
        put(f"{_count(counts.drivers, 'driver')}, {_count(counts.checks, 'check')}: {result}{over}")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


class JsonReport:
    """The same as events: docs/reference/events.md."""

    def __init__(self, reporter: JsonReporter, record: CheckRecord) -> None:
        self._reporter = reporter
        self._record = record

    def subject(self, subject: Subject) -> None:
        """`plugin`."""
        texts = (subject.kind, subject.name, subject.distribution, subject.version, subject.state)
        kind, name, distribution, version, state = map(printable, texts)
        self._reporter.emit(
            PluginListed(
                kind,
                name,
                distribution,
                version,
                state,
                self._record.checked(subject.entry) if subject.entry else "built in",
                reason=subject.passed_over or None,
            )
        )

    def begins(self, check: str) -> None:
        """No event: the result comes soon."""

    def ended(self, subject: Subject, check: str, message: str, seconds: float) -> None:
        """`check`."""
        outcome = "failed" if message else "passed"
        name = printable(subject.name)
        self._reporter.emit(
            CheckEnded(subject.kind, name, check, outcome, message, round(seconds, 3))
        )

    def done(self, counts: CheckCounts) -> None:
        """`checked`."""
        self._reporter.emit(
            ChecksEnded(counts.drivers, counts.checks, counts.failed, counts.passed_over)
        )
