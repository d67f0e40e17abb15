"""The checks of a driver class when it is loaded: its base, its methods, its class variables, the
version of the contracts that it is written for, and its options."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from tallow_core.registry.blame import breach
from tallow_core.registry.kinds import Kind
from tallow_core.spi.driver import API_VERSION, Driver, size_breach


def check_contract(kind: Kind[Any], driver: object, names: Iterable[str]) -> None:
    """Raise a `PluginError` unless `driver` is a complete driver of `kind` with one of `names`."""
    if not (
        isinstance(driver, type) and issubclass(driver, Driver) and kind.contract in driver.__mro__
    ):
        breach(f"it offers {driver!r}, which is no {kind.contract.__name__}")
    check_version(driver)
    contract = contract_of(kind, driver)
    if inspect.isabstract(driver):
        missing = ", ".join(sorted(driver.__abstractmethods__))
        breach(
            f"{driver.__name__} lacks {missing}, which the contract {contract.__name__} asks for"
        )
    for name, hint in _attributes(contract).items():
        if not fits(getattr(driver, name, None), hint):
            breach(
                f"{driver.__name__}.{name} is missing or not of the type that the contract"
                f" {contract.__name__} asks for"
            )
    if (sentence := size_breach(contract, driver)) is not None:
        breach(sentence)
    check_options(contract, driver)
    if driver.name not in names:
        breach(
            f"{driver.__name__} is named {driver.name}, which is no entry point of the distribution"
        )


def check_version(driver: type[Driver]) -> None:
    """Refuse a driver that is written for contracts of another version, with a sentence."""
    if type(driver.api) is int and driver.api > API_VERSION:
        breach(
            f"it is written for version {driver.api} of Tallow's driver contracts, and this Tallow"
            f" has version {API_VERSION}: update Tallow"
        )


def check_options(contract: type[Driver], driver: type[Driver]) -> None:
    """An options class must be one that can be filled from settings: a named tuple or a frozen
    dataclass, with a type and a default for each field."""
    options = driver.options
    if options is None:
        return
    where = f"{driver.__name__}.options"
    if "settings" not in inspect.signature(contract.__init__).parameters:
        breach(f"{where} cannot be: a {contract.__name__} is not built from settings")
    parameters: Any = getattr(options, "__dataclass_params__", None)
    frozen = parameters is not None and parameters.frozen
    if not (frozen or (issubclass(options, tuple) and hasattr(options, "_fields"))):
        breach(f"{where} is neither a NamedTuple nor a frozen dataclass")
    try:
        options()
        get_type_hints(options)
    except (TypeError, NameError) as error:
        breach(f"{where} has a field without a default or a type: {error}")


@cache
def _attributes(contract: type[Driver]) -> dict[str, Any]:
    """Name -> type, of the class variables that a contract asks for."""
    return get_type_hints(contract)


def contract_of(kind: Kind[Any], driver: type[Driver]) -> type[Driver]:
    """The most specific contract of `kind` that `driver` implements: a kind may divide its contract
    among several cases."""
    contract: type[Driver] = next(
        each for each in driver.__mro__ if _is_ours(each) and issubclass(each, kind.contract)
    )
    cases = [each.__name__ for each in contract.__subclasses__() if _is_ours(each)]
    if cases:
        breach(
            f"{driver.__name__} derives from {contract.__name__} alone, which is divided: derive"
            f" it from {' or '.join(cases)}"
        )
    return contract


def _is_ours(contract: type) -> bool:
    return contract.__module__.startswith("tallow_core.spi.")


def fits(value: object, hint: Any) -> bool:
    """Whether a value has the type that an annotation states, as far as contracts use them."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is ClassVar:
        return fits(value, arguments[0])
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in arguments)
    if origin is Literal:
        return value in arguments
    if origin is frozenset:
        return isinstance(value, frozenset) and all(fits(item, arguments[0]) for item in value)
    if origin is tuple:
        return isinstance(value, tuple) and _fits_tuple(value, arguments)
    if origin is not None:
        return isinstance(value, origin)
    if hint is int:
        return type(value) is int
    if hint is float:
        return isinstance(value, int | float)
    return isinstance(value, hint)


def _fits_tuple(value: tuple[object, ...], arguments: tuple[Any, ...]) -> bool:
    if arguments[1:] == (...,):
        return all(fits(item, arguments[0]) for item in value)
    return len(value) == len(arguments) and all(map(fits, value, arguments))
