"""Where an event is: found again by its ID, in what Temporal keeps."""

from datetime import UTC, datetime, timedelta

from temporalio.client import Client

from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import API, ConnectorOptions, Trace, Tracer
from tests.eventually import eventually
from tests.integration.orders import Order, OrderStatus, bare_orders, executing

OrderAPI = API[Order, OrderStatus]


def event(number: int, foreign_id: str, kind: str) -> ConnectorEvent:
    return ConnectorEvent(id=str(number), foreign_id=foreign_id, type=kind, created_at=datetime.now(UTC))


async def handle(api: OrderAPI, event: ConnectorEvent) -> None:
    match event.type:
        case "created":
            await api.trigger(event.foreign_id, Order())
        case "paid and shipped":
            await api.update_status(event.foreign_id, OrderStatus.PAID)
            await api.update_status(event.foreign_id, OrderStatus.SHIPPED, wait=True)
        case "refunded":
            await api.update_status(event.foreign_id, OrderStatus.REFUNDED)
        case _:
            raise LookupError(event.type)


async def test_an_event_is_traced_to_its_calls_its_runs_or_its_dead_letter(client: Client) -> None:
    orders = bare_orders()
    orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)
    orders.allow(OrderStatus.PAID, OrderStatus.SHIPPED)
    source = MemoryConnector(
        [
            event(1, "o'1 \"", "created"),
            event(2, "o'1 \"", "paid and shipped"),
            event(3, "o'1 \"", "created"),
            event(4, "o'1 \"", "paid and shipped"),
            event(5, "o-2", "created"),
            event(6, "o-2", "refunded"),
            event(7, "o-3", "unheard of"),
            event(8, "o-4", "created"),
            event(9, "o-4", "paid and shipped"),
        ]
    )
    options = ConnectorOptions(max_attempts=4, error_backoff=timedelta(milliseconds=100))
    orders.add_connector("events", source, handle, options)
    api, tracer = orders.bind(client), Tracer(client, orders.name, "events")

    async def acked() -> bool:
        return source.acked(f"{orders.name}/events/1-of-1") == 9

    async with executing(client, orders):
        await eventually(acked)
        await api.trigger("o-5", Order())
        await api.update_status("o-5", OrderStatus.SHIPPED)
        traces = {
            number: await tracer.trace(str(number), foreign_id)
            for number, foreign_id in [(1, "o'1 \""), (2, "o'1 \""), (4, "o'1 \""), (6, "o-2"), (10, "o-2")]
        }
        dead = await tracer.trace("7")
        unknown = await tracer.trace("8")
        runs = [(await api.latest("o-2")).run_id]

    def calls(trace: Trace) -> list[tuple[str, str, str]]:
        return [(call.kind, call.status, call.outcome) for call in trace.calls]

    assert calls(traces[1]) == [("trigger", "", "started")]
    assert calls(traces[2]) == calls(traces[4])
    assert calls(traces[2]) == [("update_status", "PAID", "applied"), ("update_status", "SHIPPED", "applied")]
    assert traces[1].calls[0].run_id == traces[2].calls[0].run_id != traces[4].calls[0].run_id
    assert calls(traces[6]) == [("update_status", "REFUNDED", "applied")]
    assert [call.run_id for call in traces[6].calls] == runs
    assert not traces[10].is_known
    assert dead.dead_letter is not None
    assert (dead.dead_letter.standing, dead.foreign_id, dead.calls) == ("dead", "o-3", [])
    assert not unknown.is_known  # nothing tells its foreign ID


async def test_what_a_run_refused_or_has_not_come_to_is_told_apart(client: Client) -> None:
    orders = bare_orders()
    orders.allow(OrderStatus.CREATED, OrderStatus.PAID, OrderStatus.REFUNDED)
    orders.allow(OrderStatus.PAID, OrderStatus.SHIPPED)
    source = MemoryConnector([event(1, "o-1", "created"), event(2, "o-1", "early"), event(3, "o-1", "stuck")])

    async def ship_early(api: OrderAPI, event: ConnectorEvent) -> None:
        match event.type:
            case "created":
                await api.trigger(event.foreign_id, Order())
            case _:
                await api.update_status(event.foreign_id, OrderStatus.SHIPPED)

    orders.add_connector("events", source, ship_early)

    async def acked() -> bool:
        return source.acked(f"{orders.name}/events/1-of-1") == 3

    async with executing(client, orders):
        await eventually(acked)
        trace = await Tracer(client, orders.name, "events").trace("2", "o-1")

    assert [(call.status, call.outcome) for call in trace.calls] == [("SHIPPED", "refused")]
