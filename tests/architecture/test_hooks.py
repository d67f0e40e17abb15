"""Every hook is typed and documented, and there is exactly one offering hook for each kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, get_origin, get_type_hints

import pluggy
import pytest

from tallow_core.registry import hookspecs
from tallow_core.registry.kinds import KINDS, Kind
from tallow_core.spi import (
    authenticator,
    cipher,
    command,
    compressor,
    discovery,
    hash,
    kem,
    nat,
    proxy,
    resolver,
    rooms,
    signature,
    transport,
)

CONTRACTS = {
    contract.__name__: contract
    for contract in (
        authenticator.Authenticator,
        cipher.Cipher,
        command.Command,
        compressor.Compressor,
        discovery.Discovery,
        hash.Hash,
        kem.Kem,
        proxy.Proxy,
        resolver.Resolver,
        nat.Nat,
        rooms.Rooms,
        signature.Signature,
        transport.Transport,
    )
}


def specs() -> dict[str, Callable[..., Any]]:
    """The hooks, as pluggy finds them."""
    manager = pluggy.PluginManager("tallow")
    manager.add_hookspecs(hookspecs)
    return {
        name: value
        for name, value in vars(hookspecs).items()
        if isinstance(getattr(manager.hook, name, None), pluggy.HookCaller)
    }


@pytest.mark.parametrize("name", specs())
def test_documented_and_typed(name: str) -> None:
    function = specs()[name]
    assert name.startswith("tallow_")
    documentation = inspect.getdoc(function) or ""
    assert documentation.endswith(".")
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.name in documentation.lower(), f"{parameter.name} is not explained"


def test_each_kind_has_its_hook() -> None:
    offering = {name for name in specs() if name.startswith("tallow_offer_")}
    assert offering == {kind.hook for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_hands_over_drivers_of_the_contract(kind: Any) -> None:
    hints = get_type_hints(specs()[kind.hook], localns=CONTRACTS)
    (drivers,) = hints["return"].__args__
    assert drivers.__args__ == (kind.contract,)


def test_vetoes_can_only_refuse() -> None:
    """A reason or None: no hook answers with a choice, and none stops at the first answer."""
    manager = pluggy.PluginManager("tallow")
    manager.add_hookspecs(hookspecs)
    vetoes = [name for name in specs() if name.startswith("tallow_veto_")]
    assert {"tallow_veto_suite", "tallow_veto_peer", "tallow_veto_offer"} == set(vetoes)
    for name in vetoes:
        assert inspect.signature(specs()[name]).return_annotation == "str | None"
    for name in specs():
        spec = getattr(manager.hook, name).spec
        assert not spec.opts["firstresult"], name
        assert not spec.opts["historic"], name


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_contract_states_of_a_driver_is_of_its_class(kind: Kind[Any]) -> None:
    """`plugins show` reads it from the class: a variable of objects would be a property there."""
    hints = get_type_hints(kind.contract)
    assert hints
    assert [name for name, hint in hints.items() if get_origin(hint) is not ClassVar] == []
