"""Signs of life around the user's code."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from pumphouse.activities.heartbeats import beating

OFTEN = timedelta(milliseconds=1)
SELDOM = timedelta(minutes=1)


@pytest.fixture
def environment() -> ActivityEnvironment:
    return ActivityEnvironment()


async def test_a_call_is_answered_for_after_the_beats_that_it_takes(environment: ActivityEnvironment) -> None:
    beats: list[tuple[object, ...]] = []
    three = asyncio.Event()

    def beat(*details: object) -> None:
        beats.append(details)
        if len(beats) == 3:
            three.set()

    async def long() -> str:
        await three.wait()
        return "done"

    environment.on_heartbeat = beat
    assert await environment.run(beating, long(), OFTEN, 7) == "done"

    assert beats[:3] == [(7,)] * 3


async def test_a_short_call_costs_no_beat(environment: ActivityEnvironment) -> None:
    beats: list[tuple[object, ...]] = []
    environment.on_heartbeat = lambda *details: beats.append(details)

    async def short() -> int:
        await asyncio.sleep(0)
        return 1

    assert await environment.run(beating, short(), SELDOM) == 1

    assert beats == []


async def test_a_cancelled_activity_sees_the_call_to_its_end(environment: ActivityEnvironment) -> None:
    begun = asyncio.Event()
    seen: list[str] = []

    async def clean_up_slowly() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            seen.append("cleaned up")

    running = asyncio.create_task(environment.run(beating, clean_up_slowly(), SELDOM))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert seen == ["cleaned up"]


async def test_an_error_of_the_call_comes_through_as_it_is(environment: ActivityEnvironment) -> None:
    error = ValueError("no")

    async def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="no") as raised:
        await environment.run(beating, fail(), SELDOM)

    assert raised.value is error


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_a_call_that_wants_to_end_the_process_fails_like_others(
    environment: ActivityEnvironment, kind: type[BaseException]
) -> None:
    async def leave() -> None:
        raise kind(3)

    with pytest.raises(ApplicationError, match=kind.__name__) as raised:
        await environment.run(beating, leave(), SELDOM)

    assert raised.value.type == kind.__name__
