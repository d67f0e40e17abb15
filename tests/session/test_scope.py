"""Scopes of background tasks, and the channel that runs in one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tallow_core.aio import Scope
from tallow_core.errors import LocalProtocolError
from tallow_core.protocol.lanes.lane_join import CONTROL_KEYS
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.session.channel import Channel
from tallow_core.session.lane import Lane
from tallow_core.types import Role
from tests.kit.machines import established


async def _fails() -> None:
    raise KeyError("broken")


async def _returns(value: int) -> int:
    return value


async def _waits() -> None:
    await asyncio.sleep(60)


def test_a_spawned_failure_stops_what_is_guarded() -> None:
    async def scenario() -> None:
        scope = Scope()
        scope.spawn(_fails())
        with pytest.raises(KeyError):
            await scope.guard(_waits())
        assert scope.failed
        with pytest.raises(KeyError):
            await scope.failure_within(0)
        await scope.close()

    asyncio.run(scenario())


def test_a_result_that_is_there_comes_before_a_failure() -> None:
    async def scenario() -> None:
        scope = Scope()
        scope.fail(KeyError())
        assert await scope.guard(_returns(7)) == 7
        await scope.close()

    asyncio.run(scenario())


def test_a_task_of_the_caller_fails_nothing() -> None:
    async def scenario() -> None:
        scope = Scope()
        task = scope.task(_fails())
        with pytest.raises(KeyError):
            await task
        assert not scope.failed
        await scope.close()

    asyncio.run(scenario())


def test_closing_ends_every_task() -> None:
    async def scenario() -> None:
        scope = Scope()
        tasks = [scope.task(_waits()), scope.spawn(_waits())]
        await asyncio.sleep(0)
        await scope.close()
        assert all(task.cancelled() for task in tasks)
        assert not scope.failed

    asyncio.run(scenario())


def test_a_record_type_has_one_handler() -> None:
    async def scenario() -> None:
        async def handler(body: bytes) -> None:
            bodies.append(body)

        bodies: list[bytes] = []
        stream: Any = None
        host, _ = established()
        channel = Channel(Scope(), Lane(stream, CONTROL_KEYS, host, Role.HOST))
        channel.handle(RecordType.ACK, handler)
        for kind in (RecordType.ACK, RecordType.ERROR, RecordType.PING):
            with pytest.raises(LocalProtocolError):
                channel.handle(kind, handler)
        await channel.dispatch(RecordType.ACK, b"1")
        await channel.dispatch(RecordType.HAVE, b"2")
        assert bodies == [b"1"]
        assert await channel.next_message() == (RecordType.HAVE, b"2")

    asyncio.run(scenario())
