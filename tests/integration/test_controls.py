"""Pause, resume, stop, seek and dry run of connectors that workers pump against the real server."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer
from typer.testing import CliRunner

from pumphouse.connectors import ConnectorConstructor, ConnectorConsumer, ConnectorEvent, InvalidEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.connectors.sql import SqlConnector
from pumphouse.worker.cli import app
from pumphouse.worker.dev_server import DevServer
from pumphouse.worker.status import PumpStatus, pump_statuses
from pumphouse.workflows import (
    API,
    ConnectorControls,
    ConnectorNotFound,
    ConnectorOptions,
    ConnectorState,
    ControlRefused,
    ControlTimeout,
    Handler,
    Workflow,
    names,
)
from pumphouse.workflows.messages import ControlAnswer
from pumphouse.workflows.supervisor import MAX_CHANGES, Supervisor
from tests.eventually import eventually
from tests.integration.orders import Order, OrderStatus, bare_orders, executing
from tests.integration.worn import worn_after

QUICK = ConnectorOptions(error_backoff=timedelta(milliseconds=50), heartbeat_timeout=timedelta(seconds=1))

OrderAPI = API[Order, OrderStatus]
Orders = Workflow[Order, OrderStatus]


def event(number: int, foreign_id: str, kind: str = "created") -> ConnectorEvent:
    return ConnectorEvent(id=str(number), foreign_id=foreign_id, type=kind, created_at=datetime.now(UTC))


async def on_order_event(api: OrderAPI, event: ConnectorEvent) -> None:
    if event.type == "created":
        await api.trigger(event.foreign_id, Order())
    else:
        await api.update_status(event.foreign_id, OrderStatus.PAID, wait=event.type == "paid now")


def deployed(
    name: str,
    source: ConnectorConstructor,
    handler: Handler[Order, OrderStatus] = on_order_event,
    *,
    task_queue: str = "",
    parallel_count: int = 1,
) -> Orders:
    """One definition, as it stands in one deployment after the other."""
    orders = Workflow(name, Order, OrderStatus, task_queue=task_queue or name)
    orders.allow(OrderStatus.CREATED, *list(OrderStatus)[1:])
    options = dataclasses.replace(QUICK, parallel_count=parallel_count)
    orders.add_connector("events", source, handler, options)
    return orders


@pytest.fixture
def name() -> str:
    return bare_orders().name


@pytest.fixture
def controls(client: Client, name: str) -> ConnectorControls:
    return ConnectorControls(client, name, "events", by="ann")


@asynccontextmanager
async def supervising(client: Client, orders: Orders) -> AsyncGenerator[None]:
    """Run a worker, whose settings the connector's supervisor has."""
    supervisor_id = names.supervisor_workflow_id(orders.name, "events")
    before = await last_signal(client, supervisor_id)
    async with executing(client, orders):

        async def is_told() -> bool:
            return await last_signal(client, supervisor_id) != before

        await eventually(is_told)
        yield


async def last_signal(client: Client, workflow_id: str) -> tuple[str, int]:
    """The run, and the number of the newest signal in its history; of no meaning if there is no such run."""
    newest = ("", 0)
    try:
        async for each in client.get_workflow_handle(workflow_id).fetch_history_events():
            if each.HasField("workflow_execution_started_event_attributes"):
                newest = (each.workflow_execution_started_event_attributes.original_execution_run_id, 0)
            if each.HasField("workflow_execution_signaled_event_attributes"):
                newest = (newest[0], each.event_id)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    return newest


async def pumps_of(client: Client, name: str) -> list[PumpStatus]:
    return await pump_statuses(client, names.supervisor_workflow_id(name, "events"))


async def is_pumped(client: Client, name: str, count: int = 1) -> bool:
    return len([pump for pump in await pumps_of(client, name) if pump.stats.shard]) == count


async def is_still(client: Client, name: str) -> bool:
    return await pumps_of(client, name) == []


def has_acked(source: MemoryConnector, name: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return source.acked(f"{name}/events/1-of-1") == count

    return look


async def test_a_pause_ends_the_pumps_and_survives_a_worker_restart(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    source = MemoryConnector([event(1, "o-1")])
    async with supervising(client, deployed(name, source)):
        await eventually(has_acked(source, name, 1))
        answer = await controls.pause("the shop is closed")
        assert (answer.changed, answer.record.state) == (True, ConnectorState.PAUSED)
        await eventually(lambda: is_still(client, name))
    await source.publish(event(2, "o-2"))

    async with supervising(client, deployed(name, source)):
        again = await controls.pause()
        assert await is_still(client, name)
        assert source.acked(f"{name}/events/1-of-1") == 1

        assert (await controls.resume()).changed
        await eventually(has_acked(source, name, 2))

    assert (again.changed, again.record.changes[-1].reason) == (False, "the shop is closed")


class Slow:
    """A handler that ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def __call__(self, api: OrderAPI, event: ConnectorEvent) -> None:
        self.begun.set()
        await self.may_end.wait()


async def is_stopping(controls: ConnectorControls) -> asyncio.Task[ControlAnswer]:
    """Ask for a stop, and wait until the connector has taken it."""
    stopping = asyncio.create_task(controls.stop())

    async def is_stopped() -> bool:
        return (await controls.state()).state is ConnectorState.STOPPED

    await eventually(is_stopped)
    return stopping


async def test_a_stop_is_answered_when_the_handler_has_ended_and_its_event_is_acked(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    source = MemoryConnector([event(1, "o-1")])
    slow = Slow()
    async with supervising(client, deployed(name, source, slow)):
        await slow.begun.wait()
        stopping = await is_stopping(controls)
        assert not stopping.done()
        slow.may_end.set()
        answer = await stopping
        assert source.acked(f"{name}/events/1-of-1") == 1
        assert await is_still(client, name)

    assert (answer.changed, answer.record.state) == (True, ConnectorState.STOPPED)


async def test_who_resumes_a_connector_that_drains_ends_the_wait_of_the_one_who_stops_it(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    source = MemoryConnector([event(1, "o-1")])
    slow = Slow()
    async with supervising(client, deployed(name, source, slow)):
        await slow.begun.wait()
        stopping = await is_stopping(controls)
        await controls.resume("too early")
        answer = await stopping
        slow.may_end.set()
        await eventually(has_acked(source, name, 1))

    assert answer.record.state is ConnectorState.RUNNING
    assert answer.record.changes[-1].reason == "too early"


async def test_every_change_is_kept_with_who_made_it_when_and_why(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    begin = datetime.now(UTC)
    async with supervising(client, deployed(name, MemoryConnector())):
        await controls.pause("one")
        await ConnectorControls(client, name, "events").stop("two")
        await controls.seek("earliest", "three")
        await controls.dry_run(on=True, reason="four")
        await controls.dry_run(on=False, reason="five")
        await controls.resume("six")

    changes = (await controls.state()).changes  # read without a worker
    assert [(change.what, change.by, change.reason) for change in changes] == [
        ("paused", "ann", "one"),
        ("stopped", client.identity, "two"),
        ("seek earliest", "ann", "three"),
        ("dry run on", "ann", "four"),
        ("dry run off", "ann", "five"),
        ("resumed", "ann", "six"),
    ]
    times = [change.time for change in changes]
    assert times == sorted(times)
    assert begin - timedelta(seconds=1) < times[0] <= times[-1] < datetime.now(UTC) + timedelta(seconds=1)


async def test_the_oldest_changes_fall_out(client: Client, name: str, controls: ConnectorControls) -> None:
    async with supervising(client, deployed(name, MemoryConnector())):
        await controls.stop()
        for number in range(MAX_CHANGES):
            await controls.dry_run(on=number % 2 == 0, reason=str(number))

    changes = (await controls.state()).changes
    assert [change.reason for change in changes] == [str(number) for number in range(MAX_CHANGES)]


async def test_what_stands_so_already_changes_nothing(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    async with supervising(client, deployed(name, MemoryConnector())):
        unchanged = [await controls.resume(), await controls.dry_run(on=False)]
        first, second = await controls.stop(), await controls.stop()
        record = await controls.state()

    assert [answer.changed for answer in [*unchanged, first, second]] == [False, False, True, False]
    assert [change.what for change in record.changes] == ["stopped"]


NONSENSE: list[tuple[Callable[[ConnectorControls], Awaitable[object]], str]] = [
    (lambda controls: controls.pause(), "it is stopped, so there is nothing to pause"),
    (lambda controls: controls.resume("x" * 201), "a reason has at most 200 characters, not 201"),
    (lambda controls: controls.seek(""), "a position has 1 to 200 characters, not 0"),
    (lambda controls: controls.seek("nowhere"), "'nowhere' is not a position"),
]


@pytest.mark.parametrize(("ask", "complaint"), NONSENSE)
async def test_what_makes_no_sense_is_refused(
    client: Client,
    name: str,
    controls: ConnectorControls,
    ask: Callable[[ConnectorControls], Awaitable[object]],
    complaint: str,
) -> None:
    async with supervising(client, deployed(name, MemoryConnector())):
        await controls.stop()
        with pytest.raises(ControlRefused, match=complaint) as refused:
            await ask(controls)
        record = await controls.state()

    assert str(refused.value).startswith(f"{name}/events: ")
    assert [change.what for change in record.changes] == ["stopped"]


async def test_without_a_connector_of_that_name_nothing_can_be_controlled(client: Client, name: str) -> None:
    controls = ConnectorControls(client, name, "elsewhere")
    for call in (controls.pause(), controls.state()):
        with pytest.raises(ConnectorNotFound, match=f"{name}/elsewhere: no such connector"):
            await call


async def test_without_a_worker_the_request_times_out_and_may_be_carried_out_later(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    source = MemoryConnector()
    async with supervising(client, deployed(name, source)):
        await eventually(lambda: is_pumped(client, name))
    hasty = ConnectorControls(client, name, "events", timeout=timedelta(seconds=0.5))

    with pytest.raises(ControlTimeout, match=r"no worker has taken the request within 0:00:00\.5"):
        await hasty.pause()

    async with supervising(client, deployed(name, source)):
        answer = await controls.pause()  # known, or changed, whatever became of the hasty one
        await eventually(lambda: is_still(client, name))
    assert answer.record.state is ConnectorState.PAUSED


async def test_a_cancelled_call_is_cancelled(client: Client, name: str, controls: ConnectorControls) -> None:
    async with supervising(client, deployed(name, MemoryConnector())):
        await eventually(lambda: is_pumped(client, name))

    with pytest.raises(TimeoutError) as over:
        async with asyncio.timeout(0.5):
            await controls.pause()
    assert not isinstance(over.value, ControlTimeout)


@pytest.mark.parametrize("is_ended_by_hand", [False, True])
async def test_a_definition_that_moves_to_another_task_queue_stays_paused(
    client: Client, name: str, controls: ConnectorControls, *, is_ended_by_hand: bool
) -> None:
    source = MemoryConnector([event(1, "o-1")])
    async with supervising(client, deployed(name, source)):
        await eventually(has_acked(source, name, 1))
        await controls.dry_run(on=True)
        await controls.stop("we move")
    await source.publish(event(2, "o-2"))
    if is_ended_by_hand:
        await client.get_workflow_handle(names.supervisor_workflow_id(name, "events")).terminate()
        with pytest.raises(ConnectorNotFound):
            await controls.state()

    async with supervising(client, deployed(name, source, task_queue=f"{name}-moved")):
        assert not (await controls.stop()).changed
        assert await is_still(client, name)
        record = await controls.state()
        await controls.dry_run(on=False)
        await controls.resume()
        await eventually(has_acked(source, name, 2))

    assert (record.state, record.dry_run) == (ConnectorState.STOPPED, True)
    assert [change.reason for change in record.changes] == ["", "we move"]


async def test_another_deployment_does_not_resume_and_its_shards_come_with_the_resume(
    client: Client, name: str, controls: ConnectorControls
) -> None:
    source = MemoryConnector([event(1, "o-1")])
    async with supervising(client, deployed(name, source)):
        await eventually(has_acked(source, name, 1))
        await controls.stop()
    await source.publish(*[event(number, f"o-{number}") for number in range(2, 20)])
    async with supervising(client, deployed(name, source, parallel_count=2)):
        assert not (await controls.stop()).changed
        assert await is_still(client, name)
    orders = deployed(name, source, parallel_count=3)
    async with supervising(client, orders):
        await controls.resume()
        await eventually(lambda: is_pumped(client, name, 3))

        async def all_acked() -> bool:
            return {source.acked(f"{name}/events/{number}-of-3") for number in (1, 2, 3)} == {19}

        await eventually(all_acked)
        assert all([await orders.bind(client).exists(f"o-{number}") for number in range(1, 20)])


class TestSeek:
    async def test_back_delivers_again_and_leaves_each_effect_once(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        source = MemoryConnector([event(1, "o-1"), event(2, "o-1", "paid"), event(3, "o-2")])
        seen: list[str] = []

        async def note(api: OrderAPI, event: ConnectorEvent) -> None:
            await on_order_event(api, event)
            seen.append(event.id)

        orders = deployed(name, source, note)
        async with supervising(client, orders):
            await eventually(has_acked(source, name, 3))
            api = orders.bind(client)
            run_id = (await api.wait_for("o-1", OrderStatus.PAID)).run_id
            seen.clear()

            assert (await controls.seek("earliest", "once more")).changed
            await eventually(has_acked(source, name, 3))
            run = await api.latest("o-1")

        assert sorted(seen) == ["1", "2", "3"]
        assert (run.run_id, run.version) == (run_id, 2)

    async def test_of_a_paused_connector_leaves_it_paused(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        source = MemoryConnector([event(1, "o-1"), event(2, "o-2")])
        async with supervising(client, deployed(name, source)):
            await eventually(has_acked(source, name, 2))
            await controls.pause()

            answer = await controls.seek("1")

            assert source.acked(f"{name}/events/1-of-1") == 1
            assert await is_still(client, name)
            await controls.resume()
            await eventually(has_acked(source, name, 2))

        assert answer.record.state is ConnectorState.PAUSED

    async def test_to_the_row_of_a_table_sets_all_shards(
        self, client: Client, name: str, controls: ConnectorControls, engine: AsyncEngine
    ) -> None:
        source = SqlConnector(engine)
        seen: list[int] = []

        async def note(api: OrderAPI, event: ConnectorEvent) -> None:
            seen.append(int(event.id))

        async def has_seen(count: int) -> bool:
            return len(seen) >= count

        async with supervising(client, deployed(name, source, note, parallel_count=2)):
            await eventually(lambda: has_seen(20))
            await controls.stop()
            seen.clear()

            await controls.seek("15")
            await controls.resume()
            await eventually(lambda: has_seen(6))

        assert sorted(seen) == [15, 16, 17, 18, 19, 20]

    async def test_on_an_error_the_pumps_go_on_where_they_were(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        source = MemoryConnector([event(1, "o-1")])
        async with supervising(client, deployed(name, source)):
            await eventually(has_acked(source, name, 1))

            with pytest.raises(ControlRefused, match="'nowhere' is not a position"):
                await controls.seek("nowhere")

            await source.publish(event(2, "o-2"))
            await eventually(has_acked(source, name, 2))
            assert (await controls.state()).changes == []

    async def test_is_refused_for_a_source_that_cannot_move_its_positions(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        class Unmovable:
            def __init__(self) -> None:
                self.memory = MemoryConnector([event(1, "o-1")])

            async def make(self, consumer_name: str) -> ConnectorConsumer:
                return await self.memory.make(consumer_name)

        source = Unmovable()
        async with supervising(client, deployed(name, source)):
            await eventually(has_acked(source.memory, name, 1))

            with pytest.raises(ControlRefused, match="Unmovable has no seek method"):
                await controls.seek("earliest")

            await source.memory.publish(event(2, "o-2"))
            await eventually(has_acked(source.memory, name, 2))

    async def test_a_second_one_is_refused_while_the_first_is_under_way(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        begun, may_end = asyncio.Event(), asyncio.Event()

        class Slow(MemoryConnector):
            async def seek(self, names: object, position: str) -> None:
                begun.set()
                await may_end.wait()

        async with supervising(client, deployed(name, Slow())):
            first = asyncio.create_task(controls.seek("1"))
            await begun.wait()
            with pytest.raises(ControlRefused, match="a seek to 1 by ann is under way"):
                await controls.seek("2")
            may_end.set()
            assert (await first).changed


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncGenerator[AsyncEngine]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'events.db'}")
    async with engine.begin() as connection:
        await connection.execute(
            sa.text(
                "CREATE TABLE events (id INTEGER PRIMARY KEY, foreign_id TEXT, type TEXT, headers TEXT,"
                " created_at TEXT, data TEXT)"
            )
        )
        await connection.execute(
            sa.text(
                "INSERT INTO events (foreign_id, type, created_at)"
                " VALUES (:foreign_id, 'seen', CURRENT_TIMESTAMP)"
            ),
            [{"foreign_id": f"f-{number}"} for number in range(20)],
        )
    yield engine
    await engine.dispose()


class TestDryRun:
    async def test_sends_nothing_consumes_nothing_and_delivers_all_when_it_ends(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        source = MemoryConnector()
        orders = deployed(name, source)
        api = orders.bind(client)
        count = 2 * QUICK.max_in_flight

        async def recorded(*calls: str) -> bool:
            shown = [call for pump in await pumps_of(client, name) for call in pump.stats.dry_run_calls]
            return set(calls) <= set(shown)

        async with supervising(client, orders):
            assert (await controls.dry_run(on=True)).changed
            await source.publish(*[event(number, f"o-{number}") for number in range(count)])
            await source.publish(event(count, "o-1", "paid now"), event(count + 1, "o-2", "paid"))
            await eventually(
                lambda: recorded(
                    f"start_workflow_execution {name}/o-{count - 1} {name} CREATED",
                    f"update_workflow_execution {name}/o-1 update_status PAID",
                    f"signal_workflow_execution {name}/o-2 update_status PAID",
                )
            )
            assert not any([await api.exists(f"o-{number}") for number in range(count)])
            assert source.acked(f"{name}/events/1-of-1") == 0

            assert (await controls.dry_run(on=False)).changed
            await eventually(has_acked(source, name, count + 2))
            assert all([await api.exists(f"o-{number}") for number in range(count)])
            assert (await api.wait_for("o-2", OrderStatus.PAID)).version == 2

    async def test_parks_no_event_that_is_given_up(
        self, client: Client, name: str, controls: ConnectorControls
    ) -> None:
        source = MemoryConnector()

        async def refuse(api: OrderAPI, event: ConnectorEvent) -> None:
            raise InvalidEvent("shop", "7", "for the test")

        async def is_noted() -> bool:
            shown = [call for pump in await pumps_of(client, name) for call in pump.stats.dry_run_calls]
            return shown == ["event 1, foreign ID o-1: dead", "event 2, foreign ID o-1: dead"]

        async with supervising(client, deployed(name, source, refuse)):
            await controls.dry_run(on=True)
            await source.publish(event(1, "o-1"), event(2, "o-1"))
            await eventually(is_noted)

        with pytest.raises(RPCError, match="not found"):
            await client.get_workflow_handle(names.dead_letter_workflow_id(name, "events", "1")).describe()


@pytest.fixture(scope="module")
async def worn() -> AsyncGenerator[Client]:
    async with worn_after(30) as client:
        yield client


async def test_every_request_is_answered_when_the_supervisor_continues_as_new(
    worn: Client, name: str
) -> None:
    controls = ConnectorControls(worn, name, "events", by="ann")
    supervisor = worn.get_workflow_handle(names.supervisor_workflow_id(name, "events"))
    source = MemoryConnector([event(1, "o-1")])
    async with supervising(worn, deployed(name, source)):
        await eventually(has_acked(source, name, 1))
        first_run = (await supervisor.describe()).run_id
        for round_number in range(2):
            await asyncio.gather(
                *(
                    controls.seek("earliest"),
                    controls.dry_run(on=True),
                    controls.stop(),
                    controls.dry_run(on=False),
                )
            )
            await asyncio.gather(controls.resume(), controls.seek("latest", f"round {round_number}"))
        await controls.dry_run(on=False)  # the two of a round may arrive in either order
        record = await controls.state()
        await source.publish(event(2, "o-2"))
        await eventually(has_acked(source, name, 2))
        description = await supervisor.describe()

    assert description.run_id != first_run
    # At least one execution has handed on what was known.
    await Replayer(workflows=[Supervisor]).replay_workflow(
        await worn.get_workflow_handle(supervisor.id, run_id=first_run).fetch_history()
    )
    assert [change.reason for change in record.changes if change.reason] == [f"round {n}" for n in range(2)]


async def test_the_command_controls_a_connector_and_the_status_tells(
    client: Client, server: DevServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
    monkeypatch.setenv("COLUMNS", "300")
    connector = f"{name}/events"

    async def told(*arguments: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        assert result.exit_code == (1 if "pumphouse:" in result.output else 0), result.output
        return result.output

    async with supervising(client, deployed(name, MemoryConnector())):
        await eventually(lambda: is_pumped(client, name))
        assert await told("pause", connector, "--reason", "lunch") == f"{connector}: paused\n"
        again = await told("pause", connector)
        assert again.startswith(f"{connector}: nothing to do: it is paused by ")
        assert await told("seek", connector, "latest") == f"{connector}: seek latest\n"
        assert await told("dry-run", connector, "on") == f"{connector}: dry run on\n"
        assert await told("stop", connector) == f"{connector}: stopped\n"

        async def is_told() -> bool:
            return connector in await told("status")

        await eventually(is_told)  # the list of supervisors comes late
        status = next(line for line in (await told("status")).splitlines() if connector in line)
        assert await told("resume", connector) == f"{connector}: resumed\n"
        assert await told("dry-run", connector, "off") == f"{connector}: dry run off\n"
        assert f"{connector}:" not in await told("status")
        assert "no such connector" in await told("pause", "nothing/there")

    assert "stopped by " in status
    assert "@" in status
    assert "dry run on by " in status
