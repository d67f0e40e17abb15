"""The conformance kit holds commands and hooks to their contracts, and gives drivers with options
their defaults."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import pytest

from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.registry.kinds import COMMAND, RESOLVER
from tallow_core.spi.command import Command
from tallow_core.spi.resolver import Resolved
from tallow_core.testing.expect import ConformanceError
from tallow_core.testing.fake_network import FakeResolver
from tallow_core.testing.hooks import known_hooks
from tallow_core.testing.subjects import scratch
from tallow_core.testing.suite import run_checks


def greet(name: str, /, *, times: int = 1) -> None:
    """Greet NAME."""


async def waits(name: str) -> None:
    """Greet NAME, later."""


def unsaid(name: str) -> None:
    pass


def untyped(name) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Greet NAME."""


class Greet(Command):
    """A good one."""

    name: ClassVar[str] = "greet"
    greeting: ClassVar[Callable[..., Any]] = greet

    @classmethod
    def function(cls) -> Callable[..., Any]:
        return vars(cls)["greeting"]  # type: ignore[no-any-return]


class Waits(Greet):
    greeting = waits


class Unsaid(Greet):
    greeting = unsaid


class Untyped(Greet):
    greeting = untyped


def test_a_good_command_passes() -> None:
    assert len(run_checks(COMMAND, Greet)) == 3


@pytest.mark.parametrize(
    ("driver", "check"),
    [
        (Waits, "function_is_plain"),
        (Unsaid, "help_can_be_shown: the function has no docstring"),
        (Untyped, "help_can_be_shown: the parameter name has no type"),
    ],
)
def test_a_broken_command_is_refused(driver: type[Command], check: str) -> None:
    with pytest.raises(ConformanceError, match=check):
        run_checks(COMMAND, driver)


class Options(NamedTuple):
    address: str = "192.0.2.1"


class WithOptions(FakeResolver):
    """Needs its options in each call."""

    options: ClassVar[type | None] = Options

    def __init__(self, settings: DriverSettings) -> None:
        super().__init__(settings)
        self._address: str = settings.options.address

    async def resolve(self, name: str, deadline: float) -> Resolved:
        await super().resolve(name, deadline)
        return Resolved((self._address,))


def test_a_driver_gets_its_default_options_or_those_that_are_given() -> None:
    with scratch() as settings:
        run_checks(RESOLVER, WithOptions, settings)
        with pytest.raises(ConformanceError, match="are not numeric"):
            run_checks(RESOLVER, WithOptions, settings._replace(options=Options("a name")))


def module_with(**members: object) -> ModuleType:
    found = ModuleType("some_hooks")
    vars(found).update(members)
    return found


def test_hooks_are_those_that_exist() -> None:
    def tallow_veto_offer(files: int) -> str | None:
        return None

    def tallow_veto_ofer(files: int) -> str | None:
        return None

    assert known_hooks(module_with(tallow_veto_offer=hookimpl(tallow_veto_offer))) == [
        "tallow_veto_offer"
    ]
    with pytest.raises(ConformanceError, match="tallow_veto_ofer"):
        known_hooks(module_with(tallow_veto_ofer=hookimpl(tallow_veto_ofer)))

    async def later(files: int) -> str | None:
        return None

    with pytest.raises(ConformanceError, match="is a coroutine function"):
        known_hooks(module_with(tallow_veto_offer=hookimpl(later)))
    with pytest.raises(ConformanceError, match="implements no hook"):
        known_hooks(module_with(tallow_veto_offer=greet))


REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def example(page: str) -> ModuleType:
    """The plugin that a page of the reference shows."""
    text = (REFERENCE / page).read_text("utf-8")
    found = re.search(r"```python\n(\"\"\".*?)```", text, re.DOTALL)
    assert found is not None
    module = ModuleType("example")
    exec(compile(found[1], page, "exec", dont_inherit=True), vars(module))  # noqa: S102
    return module


def test_the_examples_of_the_reference_work() -> None:
    assert known_hooks(example("hooks.md")) == ["tallow_veto_offer"]
    drivers = example("drivers.md")
    assert known_hooks(drivers) == ["tallow_offer_resolver"]
    (table,) = drivers.tallow_offer_resolver()
    with scratch() as settings:
        assert run_checks(RESOLVER, table, settings)
