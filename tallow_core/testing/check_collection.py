"""The checks as items of pytest. Only pytest imports this."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tallow_core.errors import TallowError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.subjects import ALL, Subject, everything, named, scratch, user_plugins
from tallow_core.testing.suite import Check

_settings = pytest.StashKey[DriverSettings]()


class Suite(pytest.Module):
    """The suite: one collector for each driver that `--tallow` names."""

    def collect(self) -> Iterator[pytest.Collector]:
        """Find the drivers; what is wrong with one becomes its failing test."""
        asked: list[str] = self.config.getoption("tallow") or []
        if not asked:
            raise self.CollectError("say what to check: --tallow KIND:NAME, or --tallow all")
        found: dict[str, Subject | Exception] = {}
        for text in asked:
            found |= _look_up(text)
        for name, subject in found.items():
            yield DriverCollector.from_parent(self, name=name, nodeid=name, subject=subject)


def _look_up(text: str) -> dict[str, Subject | Exception]:
    try:
        plugins = user_plugins()
        return {
            str(subject): subject
            for subject in (everything(plugins) if text == ALL else [named(text, plugins)])
        }
    except TallowError as error:
        return {text: error}


class DriverCollector(pytest.Collector):
    """One driver: an item for each check, or one that says why there is none."""

    def __init__(self, *, subject: Subject | Exception, **rest: Any) -> None:
        super().__init__(**rest)
        self.subject = subject

    def collect(self) -> Iterator[pytest.Item]:
        """Import the driver, unless it is passed over."""
        subject = self.subject
        if isinstance(subject, Exception):
            yield CheckItem.from_parent(self, name="can_be_loaded", check=_failing(subject))
        elif subject.passed_over:
            yield CheckItem.from_parent(
                self,
                name="can_be_loaded",
                check=partial(pytest.skip, f"{subject}: {subject.passed_over}"),
            )
        else:
            yield from self._items(subject)

    def _items(self, subject: Subject) -> Iterator[pytest.Item]:
        try:
            checks = subject.checks(_scratch_of(self.config))
        except TallowError as error:
            checks = [Check("can_be_loaded", _failing(error))]
        for check in checks:
            yield CheckItem.from_parent(self, name=check.name, check=check.run)


class CheckItem(pytest.Item):
    """One check of one driver."""

    def __init__(self, *, check: Callable[[], None], **rest: Any) -> None:
        super().__init__(**rest)
        self.check = check

    def runtest(self) -> None:
        """Run it."""
        self.check()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *rest: Any) -> Any:
        """The sentence alone; `--tb=long` shows where it comes from."""
        if (
            isinstance(excinfo.value, ConformanceError)
            and self.config.getoption("tbstyle") != "long"
        ):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *rest)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Nothing of the file that it was collected from: the id says all."""
        return self.path, None, self.nodeid


def _failing(why: object) -> Callable[[], None]:
    def fail() -> None:
        raise ConformanceError(str(why))

    return fail


def _scratch_of(config: pytest.Config) -> DriverSettings:
    """The settings of this process's checks; their directories go with it."""
    if _settings not in config.stash:
        context = scratch()
        config.stash[_settings] = context.__enter__()
        atexit.register(
            context.__exit__, None, None, None
        )  # xdist ends its workers before pytest's own cleanup
    return config.stash[_settings]
