"""A driver of another distribution that fails in use: always its own fault, by name."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import Distribution
from typing import Any, cast

import pytest

from tallow_core.directories import user_directories
from tallow_core.errors import BrokenOffError, CryptoError, ForgedRecord, RemoteProtocolError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry.blame import PluginFault
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.guard import _is_contract, _methods, guarded
from tallow_core.registry.kinds import KINDS
from tallow_core.spi.command import Command
from tallow_core.spi.raises import RAISES
from tallow_core.testing import memory_transport
from tallow_plugins.ciphers.aes_256_gcm import Aes256Gcm
from tallow_plugins.compressors.zstd import Zstd
from tallow_plugins.discoveries.local import Local
from tallow_plugins.hashes.blake3 import Blake3
from tallow_plugins.kems.x25519 import X25519

ENTRY = PluginEntry("hash", "x", "x", "tallow-x", "1.5", "allowed", cast("Distribution", None), ())
SETTINGS = DriverSettings(user_directories({}))


def blamed(call: Callable[[], Any], *parts: str) -> None:
    """The call ends in a sentence that names the plugin, its version, and how to go on."""
    with pytest.raises(PluginFault) as caught:
        call()
    text = str(caught.value)
    for part in ("hash:x of tallow-x 1.5", '`[plugins] block = ["hash:x"]`', *parts):
        assert part in text
    assert caught.value.exit_status == 10


def changed(driver: type[Any], **members: Any) -> Any:
    """A guarded driver with other members."""
    return guarded(type("Bad", (driver,), members), ENTRY)


def raising(error: BaseException) -> Any:
    def call(*given: object, **more: object) -> Any:
        raise error

    return call


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_errors_of_every_method_are_stated(kind: Any) -> None:
    """A method that is added to a contract gets a line in tallow_core/spi/raises.py."""
    module = import_module(kind.contract_path.partition(":")[0])
    classes = [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__ and _is_contract(each)
    ]
    stated = {f"{each.__name__}.{name}" for each in classes for name in _methods((each,))}
    assert stated <= RAISES.keys()


def test_a_driver_that_works_is_as_before() -> None:
    cipher = guarded(Aes256Gcm, ENTRY)
    assert (cipher.name, cipher.key_size, cipher.__qualname__) == ("aes-256-gcm", 32, "Aes256Gcm")
    sealer, out = cipher(bytes(32)), bytearray(20)
    assert sealer.seal_into(bytes(12), b"", b"four", out) == 20
    assert sealer.open_into(bytes(12), b"", bytes(out), out) == 4
    with pytest.raises(ForgedRecord):
        sealer.open_into(bytes(12), b"", bytes(20), out)
    with pytest.raises(CryptoError):
        cipher(bytes(31))
    hasher = guarded(Blake3, ENTRY).hasher("x")
    hasher.update(b"x")
    assert len(hasher.digest()) == 32
    pair = guarded(X25519, ENTRY).generate()
    ciphertext, shared = X25519.encapsulate(pair.public)
    assert guarded(X25519, ENTRY).decapsulate(pair, ciphertext) == shared


@pytest.mark.parametrize(
    "error",
    [
        ValueError("oops"),
        SystemExit(0),
        OSError(5, "oops"),
        RemoteProtocolError("the peer is bad"),
        asyncio.CancelledError(),
        BaseException("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_that_the_contract_does_not_have(error: BaseException) -> None:
    """Not even one that blames the peer."""
    blamed(lambda: changed(Aes256Gcm, __init__=raising(error))(bytes(32)), "Bad.__init__")
    cipher = changed(Aes256Gcm, seal_into=raising(error))(bytes(32))
    blamed(lambda: cipher.seal_into(b"", b"", b"", bytearray(9)), "failed in Bad.seal_into")
    blamed(lambda: changed(X25519, generate=classmethod(raising(error))).generate())
    blamed(lambda: changed(Blake3, hasher=classmethod(raising(error))).hasher(""))


def test_an_error_that_only_another_method_has() -> None:
    error = RemoteProtocolError("no frame")
    packer = changed(Zstd, unpack_into=raising(error), pack=raising(error))()
    with pytest.raises(RemoteProtocolError):
        packer.unpack_into(b"", bytearray(1))
    blamed(lambda: packer.pack(b""), "RemoteProtocolError: no frame")


@pytest.mark.parametrize("value", [None, "text", 3.5, True, 19])
def test_a_result_of_a_wrong_type_or_size(value: object) -> None:
    cipher = changed(Aes256Gcm, seal_into=lambda *given: value)(bytes(32))
    blamed(lambda: cipher.seal_into(bytes(12), b"", b"four", bytearray(20)), "broke its contract")


def test_sizes_of_keys_and_digests() -> None:
    pair = X25519.generate()
    pair.public += b"x"
    blamed(lambda: changed(X25519, generate=classmethod(lambda cls: pair)).generate(), "wrong size")
    short = classmethod(lambda cls, public: (bytes(32), bytearray(3)))
    blamed(lambda: changed(X25519, encapsulate=short).encapsulate(b""), "wrong size")
    frozen = classmethod(lambda cls, pair, text: bytes(32))
    blamed(lambda: changed(X25519, decapsulate=frozen).decapsulate(pair, b""), "of the type bytes")


async def _coroutine(*given: object) -> int:
    return 4


def test_a_coroutine_where_a_value_is_due() -> None:
    cipher = changed(Aes256Gcm, seal_into=_coroutine)(bytes(32))
    blamed(lambda: cipher.seal_into(b"", b"", b"", b""), "is a coroutine function")


def run(work: Any) -> Any:
    return asyncio.run(work)


TRANSPORT = memory_transport.MemoryTransport


def test_a_value_where_a_coroutine_is_due() -> None:
    transport = changed(TRANSPORT, listen=lambda self, endpoint, lasting: None)(SETTINGS)
    blamed(
        lambda: run(transport.listen(transport.local(), lasting=False)),
        "Bad.listen is a plain function, and a coroutine function is due",
    )


def test_what_a_driver_hands_out_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener, the stream that it accepts, and the variables of both."""

    async def accepted(**members: Any) -> Any:
        async def accept(self: Any) -> Any:
            made = type("BadStream", (memory_transport.MemoryStream,), members)
            return object.__new__(made)

        monkeypatch.setattr(memory_transport.MemoryListener, "accept", accept)
        transport = guarded(TRANSPORT, ENTRY)(SETTINGS)
        listener = await transport.listen(transport.local(), lasting=False)
        assert listener.endpoint.scheme == TRANSPORT.name
        return await listener.accept()

    async def receive(**members: Any) -> int:
        found: int = await (await accepted(**members)).receive_into(bytearray(4))
        return found

    async def facts() -> Any:
        return (await accepted(facts="none")).facts

    async def size(self: Any, buffer: Any) -> int:
        return len(buffer) + 1

    oops = raising(RuntimeError("oops"))
    blamed(lambda: run(receive(receive_into=oops)), "failed in BadStream.receive_into: RuntimeErr")
    blamed(lambda: run(receive(receive_into=size)), "wrong size")
    blamed(lambda: run(facts()), "BadStream.facts returned an object of the type str")
    broken = raising(BrokenOffError("gone"))
    with pytest.raises(BrokenOffError):
        run(receive(receive_into=broken))

    async def listen(self: Any, endpoint: object, *, lasting: bool) -> Any:
        return 3

    transport = changed(TRANSPORT, listen=listen)(SETTINGS)
    blamed(
        lambda: run(transport.listen(transport.local(), lasting=False)),
        "Bad.listen returned an object of the type int",
    )


class Shout(Command):
    name = "shout"
    given: Callable[..., Any]

    @classmethod
    def function(cls) -> Callable[..., Any]:
        return cls.given


def test_a_command_that_fails() -> None:
    def shout(word: str, /, *, times: int = 1) -> int:
        """Say it."""
        raise ValueError(word)

    command = changed(Shout, given=staticmethod(shout)).function()
    assert inspect.signature(command) == inspect.signature(shout)
    assert command.__doc__ == "Say it."
    blamed(lambda: command("hi"), "ValueError: hi")
    blamed(changed(Shout, given=staticmethod(_coroutine)).function, "gives a coroutine function")


def browsing(items: AsyncIterator[Any] | None) -> Any:
    return changed(Local, browse=lambda self, nameplate: items)(SETTINGS).browse("1")


def test_an_iterator_that_fails() -> None:
    async def items(*values: Any) -> AsyncIterator[Any]:
        for value in values:
            if isinstance(value, Exception):
                raise value
            yield value

    async def all_of(iterator: Any) -> list[Any]:
        return [each async for each in iterator]

    assert run(all_of(browsing(items()))) == []
    blamed(lambda: run(all_of(browsing(items("text")))), "of the type str")
    blamed(lambda: run(all_of(browsing(items(KeyError("x"))))), "KeyError")
    blamed(lambda: browsing(None), "no asynchronous iterator")


def test_a_context_that_fails() -> None:
    def announced(enter: Any, leave: Any) -> Any:
        @asynccontextmanager
        async def context(self: Any, advert: Any) -> AsyncIterator[None]:
            enter()
            yield
            leave()

        return changed(Local, announce=context)(SETTINGS).announce(cast("Any", None))

    async def use(context: Any, inside: Callable[..., Any]) -> None:
        async with context:
            inside()

    run(use(announced(list, list), list))
    oops = raising(ValueError("oops"))
    blamed(lambda: run(use(announced(oops, list), list)), "ValueError: oops")
    blamed(lambda: run(use(announced(list, oops), list)), "ValueError: oops")
    with pytest.raises(BrokenOffError):  # what its caller raises stays what it is
        run(use(announced(list, list), raising(BrokenOffError("gone"))))


def test_being_cancelled_is_no_fault() -> None:
    async def cancel() -> None:
        transport = changed(TRANSPORT, dial=dial)(SETTINGS)
        task = asyncio.create_task(transport.dial(transport.local(), 1.0, trust=None))
        await asyncio.sleep(0)
        task.cancel()
        await task

    async def dial(self: Any, *given: object, **more: object) -> Any:
        await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        run(cancel())
