"""The API against the real server."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from pumphouse.workflows import (
    API,
    InvalidForeignID,
    InvalidTransition,
    RunFinished,
    RunInProgress,
    RunNotFound,
    RunState,
    StatusNotReached,
    UnknownStatus,
    Workflow,
)
from pumphouse.workflows.messages import Record
from pumphouse.workflows.requests import deduplicated, handling
from tests.integration.orders import Order, OrderStatus, define_orders, executing

SOON = timedelta(seconds=20)

OrderAPI = API[Order, OrderStatus]


@pytest.fixture(scope="module")
def orders() -> Workflow[Order, OrderStatus]:
    return define_orders()


@pytest.fixture
async def api(client: Client, orders: Workflow[Order, OrderStatus]) -> AsyncGenerator[OrderAPI]:
    async with executing(client, orders):
        yield orders.bind(client)


@pytest.fixture
def idle_api(client: Client) -> OrderAPI:
    """The API of a definition that no worker executes."""
    return define_orders().bind(client)


async def ship(client: Client, api: OrderAPI, foreign_id: str) -> str:
    run_id = await api.trigger(foreign_id, Order())
    await api.update_status(foreign_id, OrderStatus.PAID)
    await api.wait_for(foreign_id, OrderStatus.SHIPPED, timeout=SOON)
    await client.get_workflow_handle(f"{api.name}/{foreign_id}").result()
    return run_id


async def test_a_run_goes_from_its_trigger_to_its_last_status(api: OrderAPI) -> None:
    run_id = await api.trigger("whole", Order(total=7))

    await api.update_status("whole", OrderStatus.PAID)
    run = await api.wait_for("whole", OrderStatus.SHIPPED, timeout=SOON)

    assert run.run_id == run_id
    assert run.foreign_id == "whole"
    assert run.status is OrderStatus.SHIPPED
    assert run.object == Order(total=7, shipped=True)
    assert run.version == 3
    assert run.created_at <= run.updated_at


async def test_the_latest_of_a_completed_run_needs_no_worker(client: Client) -> None:
    orders = define_orders()
    async with executing(client, orders):
        await ship(client, orders.bind(client), "done")

    run = await orders.bind(client).latest("done")

    assert (run.status, run.run_state) == (OrderStatus.SHIPPED, RunState.COMPLETED)


async def test_the_latest_of_a_run_in_progress_is_running(api: OrderAPI) -> None:
    run_id = await api.trigger("young", Order())

    run = await api.latest("young")

    assert (run.status, run.run_state, run.version) == (OrderStatus.CREATED, RunState.RUNNING, 1)
    assert run.run_id == run_id


async def test_a_run_can_begin_at_another_status(api: OrderAPI) -> None:
    await api.trigger("late", Order(), start_at=OrderStatus.PAID)

    assert (await api.wait_for("late", OrderStatus.SHIPPED, timeout=SOON)).version == 2


async def test_a_second_trigger_is_refused_while_the_run_is_in_progress(api: OrderAPI) -> None:
    run_id = await api.trigger("twice", Order())

    with pytest.raises(RunInProgress, match=run_id):
        await api.trigger("twice", Order())


async def test_a_finished_run_makes_room_for_a_new_one(api: OrderAPI, client: Client) -> None:
    first = await ship(client, api, "again")

    second = await api.trigger("again", Order())

    assert second != first
    assert (await api.latest("again")).run_id == second


async def test_an_update_is_accepted_while_no_worker_is_up(client: Client) -> None:
    orders = define_orders()
    api = orders.bind(client)
    await api.trigger("idle", Order())
    await api.update_status("idle", OrderStatus.PAID)

    async with executing(client, orders):
        run = await api.wait_for("idle", OrderStatus.SHIPPED, timeout=SOON)

    assert run.object.shipped


async def test_an_awaited_update_has_been_made_when_it_returns(api: OrderAPI) -> None:
    await api.trigger("awaited", Order())

    await api.update_status("awaited", OrderStatus.REFUNDED, wait=True)

    assert (await api.latest("awaited")).status is OrderStatus.REFUNDED


async def test_an_awaited_update_that_the_graph_does_not_allow_is_an_error(api: OrderAPI) -> None:
    await api.trigger("awaited-wrong", Order())

    with pytest.raises(InvalidTransition, match=r"awaited-wrong.*from CREATED no update leads to SHIPPED"):
        await api.update_status("awaited-wrong", OrderStatus.SHIPPED, wait=True)

    assert (await api.latest("awaited-wrong")).status is OrderStatus.CREATED


async def test_an_update_that_the_graph_does_not_allow_is_recorded(api: OrderAPI, client: Client) -> None:
    await api.trigger("wrong", Order())
    await api.update_status("wrong", OrderStatus.SHIPPED)
    await api.update_status("wrong", OrderStatus.REFUNDED, wait=True)

    record = await client.get_workflow_handle(f"{api.name}/wrong", result_type=Record).result()

    assert [(refusal.status, refusal.at_status) for refusal in record.refused] == [("SHIPPED", "CREATED")]
    assert record.visited == ["CREATED", "REFUNDED"]


async def test_nothing_exists_before_the_trigger(idle_api: OrderAPI) -> None:
    assert not await idle_api.exists("nobody")
    await idle_api.trigger("nobody", Order())
    assert await idle_api.exists("nobody")


@pytest.mark.parametrize("wait", [False, True])
async def test_calls_for_a_run_that_is_not_there_say_so(idle_api: OrderAPI, *, wait: bool) -> None:
    with pytest.raises(RunNotFound, match=f"{idle_api.name}/ghost"):
        await idle_api.update_status("ghost", OrderStatus.PAID, wait=wait)
    with pytest.raises(RunNotFound):
        await idle_api.latest("ghost")
    with pytest.raises(RunNotFound):
        await idle_api.wait_for("ghost", OrderStatus.PAID)
    with pytest.raises(RunNotFound):
        await idle_api.cancel("ghost")


@pytest.mark.parametrize("wait", [False, True])
async def test_updates_of_a_finished_run_say_so(api: OrderAPI, client: Client, *, wait: bool) -> None:
    foreign_id = f"finished-{wait}"
    await ship(client, api, foreign_id)

    with pytest.raises(RunFinished, match=foreign_id):
        await api.update_status(foreign_id, OrderStatus.PAID, wait=wait)
    with pytest.raises(RunFinished):
        await api.cancel(foreign_id)


async def test_a_cancelled_run_keeps_its_status(api: OrderAPI, client: Client) -> None:
    await api.trigger("cancelled", Order(total=3))
    await api.latest("cancelled")

    await api.cancel("cancelled", "not wanted")
    with pytest.raises(StatusNotReached, match="Cancelled at CREATED"):
        await api.wait_for("cancelled", OrderStatus.SHIPPED, timeout=SOON)

    run = await api.latest("cancelled")
    assert (run.status, run.run_state) == (OrderStatus.CREATED, RunState.CANCELLED)
    assert run.object == Order(total=3)
    description = await client.get_workflow_handle(f"{api.name}/cancelled").describe()
    assert description.status is WorkflowExecutionStatus.CANCELED


async def test_a_run_cancelled_before_a_worker_saw_it_ends_cancelled(client: Client) -> None:
    orders = define_orders()
    api = orders.bind(client)
    await api.trigger("unseen", Order())
    await api.cancel("unseen")

    async with executing(client, orders):
        with pytest.raises(StatusNotReached):
            await api.wait_for("unseen", OrderStatus.SHIPPED, timeout=SOON)
        assert (await api.latest("unseen")).run_state is RunState.CANCELLED


async def test_a_terminated_run_counts_as_cancelled(api: OrderAPI, client: Client) -> None:
    await api.trigger("terminated", Order())
    await client.get_workflow_handle(f"{api.name}/terminated").terminate()

    assert (await api.latest("terminated")).run_state is RunState.CANCELLED


async def test_waiting_for_a_status_ends_with_its_time(api: OrderAPI) -> None:
    await api.trigger("slow", Order())

    with pytest.raises(TimeoutError):
        await api.wait_for("slow", OrderStatus.SHIPPED, timeout=timedelta(milliseconds=300))


async def test_a_status_that_was_passed_counts_as_reached(api: OrderAPI, client: Client) -> None:
    await ship(client, api, "passed")

    run = await api.wait_for("passed", OrderStatus.PAID, timeout=SOON)

    assert run.status is OrderStatus.SHIPPED


class WrongStatus:
    name = "PAID"


async def test_bad_input_is_refused_before_any_call_to_temporal(orders: Workflow[Order, OrderStatus]) -> None:
    # A client that fails at the first call: none is made.
    api = orders.bind(object())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose

    with pytest.raises(InvalidForeignID, match="must not be empty"):
        await api.trigger("", Order())
    with pytest.raises(InvalidForeignID, match=r"foreign_id.*1000"):
        await api.trigger("x" * 1000, Order())
    with pytest.raises(UnknownStatus, match="CREATED, PAID, SHIPPED, REFUNDED"):
        await api.update_status("x", WrongStatus())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
    with pytest.raises(TypeError, match="not a Order"):
        await api.trigger("x", "an order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose


async def test_the_longest_foreign_id_that_the_limit_allows_is_taken(idle_api: OrderAPI) -> None:
    longest = "ö" * ((1000 - len(idle_api.name) - 1) // 2)

    assert await idle_api.trigger(longest, Order())
    assert await idle_api.exists(longest)


class TestATriggerThatIsDeliveredAgain:
    """The same event, handled once more after a crash between Temporal's acceptance and the ack."""

    @pytest.fixture
    async def event_api(
        self, orders: Workflow[Order, OrderStatus], client: Client
    ) -> AsyncGenerator[OrderAPI]:
        async with executing(client, orders):
            yield orders.bind(deduplicated(client))

    async def deliver(self, event_api: OrderAPI, event_id: str, foreign_id: str) -> str:
        with handling(event_api.name, "source", event_id):
            return await event_api.trigger(foreign_id, Order())

    async def test_answers_with_the_run_in_progress(self, event_api: OrderAPI) -> None:
        first = await self.deliver(event_api, "e1", "redelivered-open")

        assert await self.deliver(event_api, "e1", "redelivered-open") == first

    async def test_answers_with_the_run_after_it_has_finished(self, event_api: OrderAPI) -> None:
        first = await self.deliver(event_api, "e1", "redelivered-closed")
        await event_api.update_status("redelivered-closed", OrderStatus.REFUNDED, wait=True)

        assert await self.deliver(event_api, "e1", "redelivered-closed") == first

    @pytest.mark.parametrize("newer_is_open", [True, False])
    async def test_answers_with_its_run_after_a_newer_one(
        self, event_api: OrderAPI, *, newer_is_open: bool
    ) -> None:
        foreign_id = f"redelivered-older-{newer_is_open}"
        first = await self.deliver(event_api, "e1", foreign_id)
        await event_api.update_status(foreign_id, OrderStatus.REFUNDED, wait=True)
        second = await self.deliver(event_api, "e2", foreign_id)
        if not newer_is_open:
            await event_api.update_status(foreign_id, OrderStatus.REFUNDED, wait=True)

        assert await self.deliver(event_api, "e1", foreign_id) == first
        assert await self.deliver(event_api, "e2", foreign_id) == second
        assert (await event_api.latest(foreign_id)).run_id == second

    async def test_another_event_is_still_refused(self, event_api: OrderAPI) -> None:
        await self.deliver(event_api, "e1", "other-event")

        with pytest.raises(RunInProgress):
            await self.deliver(event_api, "e2", "other-event")
