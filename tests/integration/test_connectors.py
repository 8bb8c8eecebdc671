"""Connectors of a definition, pumped by workers against the real server."""

import dataclasses
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client
from temporalio.worker import Worker

from pumphouse.connectors import ConnectorConstructor, ConnectorConsumer, ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.connectors.sql import SqlConnector
from pumphouse.worker import PumphousePlugin
from pumphouse.worker.status import PumpStatus, pump_statuses, supervisors
from pumphouse.workflows import API, ConnectorOptions, Handler, InvalidDefinition, Workflow, names
from tests.eventually import eventually
from tests.integration.orders import Order, OrderStatus, bare_orders, define_orders, executing, handle_of

QUICK = ConnectorOptions(error_backoff=timedelta(milliseconds=50), heartbeat_timeout=timedelta(seconds=1))

OrderAPI = API[Order, OrderStatus]
Orders = Workflow[Order, OrderStatus]


def event(number: int, foreign_id: str, kind: str = "created") -> ConnectorEvent:
    return ConnectorEvent(id=str(number), foreign_id=foreign_id, type=kind, created_at=datetime.now(UTC))


async def on_order_event(api: OrderAPI, event: ConnectorEvent) -> None:
    match event.type:
        case "created":
            await api.trigger(event.foreign_id, Order())
        case "paid":
            await api.update_status(event.foreign_id, OrderStatus.PAID)
        case _:
            raise ValueError(event.type)


async def pumps_of(client: Client, orders: Orders) -> list[PumpStatus]:
    return await pump_statuses(client, names.supervisor_workflow_id(orders.name, "events"))


async def test_events_become_runs_and_are_acked(client: Client) -> None:
    orders = define_orders()
    source = MemoryConnector([event(n, f"o-{n}") for n in range(20)])
    await source.publish(*[event(100 + n, f"o-{n}", "paid") for n in range(20)])
    orders.add_connector("events", source, on_order_event, QUICK)

    async with executing(client, orders):
        api = orders.bind(client)

        async def all_acked() -> bool:
            return source.acked(f"{orders.name}/events/1-of-1") == 40

        await eventually(all_acked)
        records = [await handle_of(client, api, f"o-{n}").result() for n in range(20)]

    assert [(record.status, record.version) for record in records] == [("SHIPPED", 3)] * 20


async def test_an_update_that_comes_before_its_trigger_is_repeated_until_the_run_is_there(
    client: Client,
) -> None:
    orders = define_orders()
    source = MemoryConnector([event(1, "early", "paid")])
    orders.add_connector("events", source, on_order_event, QUICK)
    api = orders.bind(client)

    async with executing(client, orders):

        async def has_retried() -> bool:
            return any(pump.stats.retried for pump in await pumps_of(client, orders))

        await eventually(has_retried)
        await api.trigger("early", Order())
        record = await handle_of(client, api, "early").result()

    assert record.status == "SHIPPED"


async def test_what_a_handler_sends_by_the_client_of_its_api_is_sent_once(client: Client) -> None:
    orders = define_orders()
    source = MemoryConnector([event(1, "o-1")])
    runs: list[str | None] = []

    async def start_and_fail(api: OrderAPI, event: ConnectorEvent) -> None:
        handle = await api.client.start_workflow("nobody's", id=f"{orders.name}/other", task_queue="nowhere")
        runs.append(handle.result_run_id)
        if len(runs) == 1:
            raise ConnectionError("after the call")

    orders.add_connector("events", source, start_and_fail, QUICK)

    async def acked() -> bool:
        return source.acked(f"{orders.name}/events/1-of-1") == 1

    async with executing(client, orders):
        await eventually(acked)

    assert runs == [runs[0]] * 2


async def test_the_heartbeats_tell_how_the_pump_stands(client: Client) -> None:
    orders = define_orders()
    source = MemoryConnector([event(n, f"o-{n}") for n in range(3)])
    await source.publish(event(3, "o-0", "unknown"))
    orders.add_connector("events", source, on_order_event, QUICK)

    async with executing(client, orders):

        async def told() -> PumpStatus | None:
            found = [pump for pump in await pumps_of(client, orders) if pump.stats.retried]
            return found[0] if found else None

        pump = await eventually(told)
        assert [name async for name in supervisors(client) if orders.name in name]

    assert pump.connector == f"{orders.name}.connector[events]"
    stats = pump.stats
    assert (stats.shard, stats.received, stats.delivered, stats.in_flight) == ("1-of-1", 4, 3, 1)
    assert (stats.acked, stats.last_event_id) == (3, "3")
    assert stats.lag_seconds > 0


async def test_a_stopped_worker_hands_its_shard_over_with_its_counters(client: Client) -> None:
    orders = define_orders()
    source = MemoryConnector([event(n, f"o-{n}") for n in range(5)])
    orders.add_connector("events", source, on_order_event, QUICK)
    consumer = f"{orders.name}/events/1-of-1"

    async def acked(count: int) -> bool:
        return source.acked(consumer) == count

    async with executing(client, orders):
        await eventually(lambda: acked(5))
    await source.publish(event(10, "o-10"))
    async with executing(client, orders):
        await eventually(lambda: acked(6))

        async def told() -> PumpStatus | None:
            found = [pump for pump in await pumps_of(client, orders) if pump.stats.received == 6]
            return found[0] if found else None

        pump = await eventually(told)

    assert (pump.stats.delivered, pump.attempt) == (6, 2)


class TestChangingTheNumberOfShards:
    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncGenerator[AsyncEngine]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'events.db'}")
        async with engine.begin() as connection:
            await connection.execute(CREATE_EVENTS)
        yield engine
        await engine.dispose()

    async def test_loses_nothing_and_keeps_the_order(self, client: Client, engine: AsyncEngine) -> None:
        name = bare_orders().name
        source = SqlConnector(engine, batch_size=7)
        seen: dict[str, list[int]] = {}

        async def note(api: OrderAPI, event: ConnectorEvent) -> None:
            seen.setdefault(event.foreign_id, []).append(int(event.id))

        for rounds, parallel_count in enumerate((1, 3, 2), start=1):
            orders = sharded(name, source, note, parallel_count)
            async with executing(client, orders):
                await write(engine, 40)
                await eventually(lambda rounds=rounds: has_seen(seen, rounds * 40))  # type: ignore[misc]

        first_times = [list(dict.fromkeys(events)) for events in seen.values()]
        assert all(events == sorted(events) for events in first_times)
        assert await consumer_names(engine) == {f"{name}/events/1-of-2", f"{name}/events/2-of-2"}

    async def test_is_refused_for_a_source_that_cannot_move_its_positions(self, client: Client) -> None:
        class Unmovable:
            def __init__(self) -> None:
                self.made: list[str] = []
                self._memory = MemoryConnector()

            async def make(self, consumer_name: str) -> ConnectorConsumer:
                self.made.append(consumer_name.rpartition("/")[2])
                return await self._memory.make(consumer_name)

        name = bare_orders().name
        source = Unmovable()

        async def made(count: int) -> bool:
            return len(source.made) == count

        async with executing(client, sharded(name, source, on_order_event, 2)):
            await eventually(lambda: made(2))
        async with executing(client, sharded(name, source, on_order_event, 3)):
            await eventually(lambda: made(4))

        assert sorted(source.made) == ["1-of-2", "1-of-2", "2-of-2", "2-of-2"]


CREATE_EVENTS = sa.text(
    "CREATE TABLE events (id INTEGER PRIMARY KEY, foreign_id TEXT, type TEXT, headers TEXT,"
    " created_at TEXT, data TEXT)"
)
INSERT_EVENT = sa.text(
    "INSERT INTO events (foreign_id, type, created_at) VALUES (:foreign_id, 'seen', CURRENT_TIMESTAMP)"
)


def sharded(
    name: str, source: ConnectorConstructor, handler: Handler[Order, OrderStatus], parallel_count: int
) -> Orders:
    """One definition, as it stands in one deployment after the other."""
    orders = Workflow(name, Order, OrderStatus, task_queue=name)
    orders.allow(OrderStatus.CREATED, *list(OrderStatus)[1:])
    options = dataclasses.replace(QUICK, parallel_count=parallel_count)
    orders.add_connector("events", source, handler, options)
    return orders


async def write(engine: AsyncEngine, count: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT_EVENT, [{"foreign_id": f"f-{n % 17}"} for n in range(count)])


async def has_seen(seen: dict[str, list[int]], count: int) -> bool:
    return len({event_id for events in seen.values() for event_id in events}) == count


async def consumer_names(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        found = await connection.execute(sa.text("SELECT consumer_name FROM pumphouse_cursors"))
        return set(found.scalars())


async def test_a_connector_goes_on_when_its_definition_moves_to_another_task_queue(client: Client) -> None:
    name = bare_orders().name
    source = MemoryConnector([event(1, "o-1")])

    async def acked(count: int) -> bool:
        return source.acked(f"{name}/events/1-of-1") == count

    for number, task_queue in enumerate([name, f"{name}-moved"], start=1):
        orders = Workflow(name, Order, OrderStatus, task_queue=task_queue)
        orders.allow(OrderStatus.CREATED, *list(OrderStatus)[1:])
        orders.add_connector("events", source, on_order_event, QUICK)
        async with executing(client, orders):
            await eventually(lambda number=number: acked(number))  # type: ignore[misc]
        await source.publish(event(2, "o-2"))


async def test_a_worker_of_another_task_queue_is_refused(client: Client) -> None:
    orders = define_orders()

    with pytest.raises(InvalidDefinition, match="task_queue='elsewhere'"):
        Worker(client, task_queue="elsewhere", plugins=[PumphousePlugin(orders)])


async def test_two_definitions_of_one_name_are_refused() -> None:
    orders = define_orders()

    with pytest.raises(InvalidDefinition, match="same name"):
        PumphousePlugin(orders, orders)
