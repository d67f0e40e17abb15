"""`tallow bench`: how fast each driver works on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tallow_core.cli.args.options import CommonOptions
from tallow_core.cli.commands.bench_tasks import TASKS, Task, password_tasks
from tallow_core.cli.entry import invocation
from tallow_core.config.calibration import fastest
from tallow_core.errors import EXIT_DONE, UsageError
from tallow_core.events import SpeedMeasured
from tallow_core.passwords import configured
from tallow_core.registry.kinds import KINDS
from tallow_core.text import nearest, printable

if TYPE_CHECKING:
    from tallow_core.session.context import Context

PASSWORD = "password"  # noqa: S105 - the word for what is timed
"""Not a kind: Argon2id, which is the core's own."""
MAX_TIMED_SECONDS = 60.0
"""Seconds that one operation may be timed for."""

_COMMON = CommonOptions()


def bench(*, kind: str | None = None, seconds: float = 0.1, common: CommonOptions = _COMMON) -> int:
    """Time every cipher, KEM, signature, hash, authenticator and compressor that may be loaded, and
    Argon2id: the fastest run, on one core.

    Ciphers, hashes and compressors work on 1 MiB at a time, as a data record holds. Policy is not
    asked: what it leaves out is timed too.

    Parameters
    ----------
    kind
        Only this kind; password is Argon2id.
    seconds
        How long each operation is repeated.
    """
    kinds = [*(each.name for each in KINDS if each.name in TASKS), PASSWORD]
    if kind is not None and kind not in kinds:
        raise UsageError(
            f'nothing of a kind "{printable(kind)}" can be timed{nearest(kind, kinds)}; there are'
            f" {', '.join(kinds)}"
        )
    if not 0 < seconds <= MAX_TIMED_SECONDS:
        raise UsageError(
            f"--seconds must be above 0 and at most {MAX_TIMED_SECONDS:g}, not {seconds:g}"
        )
    context = invocation.context(common, {})
    for name, driver, tasks in _subjects(context, kinds if kind is None else [kind]):
        try:
            timed = [(task, fastest(task.run, seconds)) for task in tasks]
        except Exception as error:
            context.reporter.warn(
                f"{name} {driver} fails where it is timed:"
                f" {printable(f'{type(error).__name__}: {error}')}"
            )
            continue
        for task, best in timed:
            context.report(SpeedMeasured(name, driver, task.operation, best, task.size))
    return EXIT_DONE


def _subjects(context: Context, kinds: list[str]) -> Iterator[tuple[str, str, Iterator[Task]]]:
    """Kind, name and tasks of each driver that loads. One that does not is named in a warning, and
    so is one whose library is missing."""
    catalog = context.plugins.catalog
    for kind in (each for each in KINDS if each.name in kinds):
        for entry in catalog.entries(kind):
            if entry.state == "library missing":
                context.reporter.warn(
                    f"{kind.name} {entry.name} is passed over: {catalog.reason(entry)}"
                )
        for driver in context.plugins.load_all(kind):
            yield kind.name, driver.name, TASKS[kind.name](driver)
    if PASSWORD in kinds:
        yield (
            PASSWORD,
            "argon2id",
            password_tasks(configured(context.settings.passwords.memory_mib)),
        )
