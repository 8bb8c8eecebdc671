"""What is delivered again has no second effect, however many runs of its foreign ID have gone by since."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleSpec,
    WithStartWorkflowOperation,
    WorkflowHandle,
)
from temporalio.common import RawValue, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.worker import Worker

from pumphouse.workflows import API, InvalidTransition, RunFinished, RunInProgress, RunState, Workflow, names
from pumphouse.workflows.messages import MAX_REFUSALS, MachineInput, Record, StatusUpdate, StepInput
from pumphouse.workflows.requests import RequestIDs, deduplicated, handling
from pumphouse.workflows.triggers import MAX_REMEMBERED, past_triggers
from tests.eventually import eventually
from tests.integration.orders import Order, OrderStatus, bare_orders, define_orders, executing, handle_of

OrderAPI = API[Order, OrderStatus]
CREATED, PAID, SHIPPED, REFUNDED = OrderStatus


def define(name: str | None = None, **options: Any) -> Workflow[Order, OrderStatus]:
    """CREATED <-> PAID for as long as one likes; REFUNDED ends it. SHIPPED is where PAID alone leads."""
    name = name or bare_orders().name
    orders = Workflow(name, Order, OrderStatus, task_queue=name, **options)
    orders.allow(CREATED, PAID, REFUNDED)
    orders.allow(PAID, CREATED, SHIPPED, REFUNDED)
    return orders


class Source:
    """Delivers events: each is a call of the API, made under the event's ID."""

    def __init__(self, api: OrderAPI) -> None:
        self.api = api

    async def trigger(self, event_id: str, foreign_id: str) -> str:
        with handling(self.api.name, "source", event_id):
            return await self.api.trigger(foreign_id, Order())

    async def update(
        self, event_id: str, foreign_id: str, status: OrderStatus, *, wait: bool = False
    ) -> None:
        with handling(self.api.name, "source", event_id):
            await self.api.update_status(foreign_id, status, wait=wait)


@pytest.fixture(scope="module")
def orders() -> Workflow[Order, OrderStatus]:
    return define()


@pytest.fixture
def idle(client: Client) -> Source:
    """The source of a definition that no worker executes."""
    return Source(define().bind(deduplicated(client)))


@pytest.fixture
async def source(client: Client, orders: Workflow[Order, OrderStatus]) -> AsyncGenerator[Source]:
    async with executing(client, orders):
        yield Source(orders.bind(deduplicated(client)))


async def terminate(client: Client, source: Source, foreign_id: str) -> None:
    await handle_of(client, source.api, foreign_id).terminate()


async def run_many(client: Client, source: Source, foreign_id: str, count: int) -> list[str]:
    """That many runs one after the other, all ended but the last."""
    runs = [await source.trigger("0", foreign_id)]
    for number in range(1, count):
        await terminate(client, source, foreign_id)
        runs.append(await source.trigger(str(number), foreign_id))
    return runs


class TestATriggerOfLongAgo:
    async def test_finds_its_run_behind_any_number_of_newer_ones(self, client: Client, idle: Source) -> None:
        runs = await run_many(client, idle, "old", 3 * MAX_REMEMBERED)
        await terminate(client, idle, "old")

        again = [await idle.trigger(str(number), "old") for number in range(len(runs))]

        assert again == runs

    async def test_finds_its_run_while_a_newer_one_is_open(self, client: Client, idle: Source) -> None:
        runs = await run_many(client, idle, "open", 2 * MAX_REMEMBERED + 1)

        assert await idle.trigger("0", "open") == runs[0]
        with pytest.raises(RunInProgress, match=runs[-1]):
            await idle.trigger("new", "open")

    async def test_starts_a_run_again_where_the_older_ones_are_no_longer_kept(
        self, client: Client, idle: Source
    ) -> None:
        memo = [[f"a trigger {number}", str(uuid4())] for number in range(MAX_REMEMBERED)]
        workflow_id = f"{idle.api.name}/forgotten"
        # Temporal answers for a run that never was as for one that its retention has removed.
        newest = await client.start_workflow(
            idle.api.name,
            MachineInput("forgotten", {"total": 1}, "CREATED"),
            id=workflow_id,
            task_queue="nobody's",
            memo={names.TRIGGERS_MEMO: memo},
        )
        await newest.terminate()

        run_id = await idle.trigger("1", "forgotten")

        assert run_id != newest.first_execution_run_id
        assert (await newest.describe()).run_id == run_id

    async def test_is_listed_once_newest_first(self, client: Client, idle: Source) -> None:
        runs = await run_many(client, idle, "listed", 2 * MAX_REMEMBERED + 3)

        listed = [pair async for pair in past_triggers(client, f"{idle.api.name}/listed")]

        assert [run_id for _, run_id in listed] == runs[::-1]
        assert len({trigger_id for trigger_id, _ in listed}) == len(runs)
        assert [pair async for pair in past_triggers(client, f"{idle.api.name}/nobody")] == []

    async def test_costs_one_request_for_every_fifteen_older_runs(
        self, client: Client, idle: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await run_many(client, idle, "costly", 2 * MAX_REMEMBERED)
        described: list[str | None] = []
        describe = WorkflowHandle[Any, Any].describe

        async def count(handle: WorkflowHandle[Any, Any], **options: Any) -> Any:
            described.append(handle.run_id)
            return await describe(handle, **options)

        monkeypatch.setattr(WorkflowHandle, "describe", count)
        await idle.trigger("20", "costly")
        assert len(described) == 1
        await idle.trigger("10", "costly")
        assert len(described) == 3


async def test_a_handler_that_triggers_twice_repeats_each_trigger(source: Source) -> None:
    await source.trigger("before", "twice")
    await source.update("paid", "twice", REFUNDED, wait=True)

    async def handle(*, crashes: bool) -> list[str]:
        with handling(source.api.name, "source", "both"):
            first = await source.api.trigger("twice", Order())
            if crashes:
                return [first]
            return [first, await source.api.trigger("twice", Order())]

    [first] = await handle(crashes=True)
    await source.update("refunded", "twice", REFUNDED, wait=True)
    again = await handle(crashes=False)

    assert again[0] == first
    assert again[1] != first, "the second trigger must not be taken for the first"
    assert await handle(crashes=False) == again


class TestAnUpdateOfAnEarlierRun:
    @pytest.mark.parametrize("wait", [False, True])
    async def test_is_not_applied_to_the_next_run(self, source: Source, *, wait: bool) -> None:
        foreign_id = f"next-{wait}"
        await source.trigger("1", foreign_id)
        await source.update("2", foreign_id, PAID, wait=wait)
        await source.update("3", foreign_id, REFUNDED, wait=True)
        await source.trigger("4", foreign_id)

        await source.update("2", foreign_id, PAID, wait=wait)
        await source.update("5", foreign_id, REFUNDED, wait=True)

        run = await source.api.latest(foreign_id)
        assert (run.version, run.status) == (2, REFUNDED)

    async def test_is_known_two_runs_later(self, source: Source) -> None:
        await source.trigger("1", "later")
        await source.update("2", "later", REFUNDED, wait=True)
        for number in ("3", "4"):
            await source.trigger(number, "later")
            await source.update("2", "later", REFUNDED, wait=True)
            assert (await source.api.latest("later")).status is CREATED
            await source.update(f"end of {number}", "later", REFUNDED, wait=True)

    @pytest.mark.parametrize("runs_between", [0, 1])
    async def test_that_was_refused_is_refused_again(self, source: Source, runs_between: int) -> None:
        foreign_id = f"refused-{runs_between}"
        await source.trigger("1", foreign_id)
        with pytest.raises(InvalidTransition, match="from CREATED no update leads to SHIPPED"):
            await source.update("2", foreign_id, SHIPPED, wait=True)
        for number in range(runs_between + 1):
            await source.update(f"end {number}", foreign_id, REFUNDED, wait=True)
            await source.trigger(f"next {number}", foreign_id)
        await source.update("6", foreign_id, PAID, wait=True)

        with pytest.raises(InvalidTransition, match="from CREATED no update leads to SHIPPED"):
            await source.update("2", foreign_id, SHIPPED, wait=True)
        assert (await source.api.latest(foreign_id)).status is PAID

    async def test_that_came_behind_its_end_is_known(self, client: Client) -> None:
        orders = define()
        source = Source(orders.bind(deduplicated(client)))
        await source.trigger("1", "behind")
        await source.update("2", "behind", REFUNDED)
        await source.update("3", "behind", PAID)
        async with executing(client, orders):
            await handle_of(client, source.api, "behind").result()
            await source.trigger("4", "behind")
            await source.update("3", "behind", PAID)
            await source.update("5", "behind", REFUNDED, wait=True)

            assert (await source.api.latest("behind")).version == 2

    async def test_that_was_cancelled_is_known_without_a_worker(self, client: Client) -> None:
        orders = define()
        source = Source(orders.bind(deduplicated(client)))
        async with executing(client, orders):
            await source.trigger("1", "cancelled")
            await source.update("2", "cancelled", PAID)
            await source.update("3", "cancelled", CREATED, wait=True)
            await source.api.cancel("cancelled")
            await eventually(lambda: is_closed(client, source, "cancelled"))
        await source.trigger("4", "cancelled")
        await source.update("2", "cancelled", PAID)
        await source.update("3", "cancelled", CREATED)
        async with executing(client, orders):
            await source.update("5", "cancelled", REFUNDED, wait=True)
            record = await handle_of(client, source.api, "cancelled").result()

        assert (record.version, record.refused) == (2, [])

    async def test_that_was_terminated_unseen_is_not_applied_to_the_next(self, client: Client) -> None:
        orders = define()
        source = Source(orders.bind(deduplicated(client)))
        await source.trigger("1", "unseen")
        await source.update("2", "unseen", PAID)
        await handle_of(client, source.api, "unseen").signal("update_status", "no status update at all")
        await terminate(client, source, "unseen")
        await source.trigger("3", "unseen")
        await source.update("2", "unseen", PAID)
        async with executing(client, orders):
            await source.update("4", "unseen", REFUNDED, wait=True)

            assert (await source.api.latest("unseen")).version == 2

    async def test_is_forgotten_behind_as_many_as_the_definition_says(self, client: Client) -> None:
        orders = define(remembered_requests=2)
        source = Source(orders.bind(deduplicated(client)))
        async with executing(client, orders):
            await source.trigger("1", "brief")
            for number, status in enumerate([PAID, CREATED, REFUNDED]):
                await source.update(f"update {number}", "brief", status, wait=True)
            await source.trigger("2", "brief")
            record: Record = await handle_of(client, source.api, "brief").query("record", result_type=Record)
            await source.update("update 1", "brief", PAID, wait=True)
            assert (await source.api.latest("brief")).status is CREATED, "it is remembered"
            await source.update("update 0", "brief", PAID, wait=True)

            assert (await source.api.latest("brief")).status is PAID, "it is beyond what is remembered"
        assert len(record.applied) == 2


async def test_a_run_inherits_no_more_than_its_definition_remembers(client: Client) -> None:
    before = define()
    after = define(name=before.name, remembered_requests=1)
    source = Source(before.bind(deduplicated(client)))
    await source.trigger("1", "heir")
    for event_id, status in [("2", PAID), ("3", CREATED), ("4", REFUNDED)]:
        await source.update(event_id, "heir", status)
    async with executing(client, before):
        await handle_of(client, source.api, "heir").result()
    await after.bind(client).trigger("heir", Order())
    async with executing(client, after):
        record: Record = await handle_of(client, source.api, "heir").query("record", result_type=Record)

    assert record.applied == [RequestIDs(source.api.name, "source", "4").next("update_status", "heir")]


async def test_a_run_inherits_the_newest_refusals_of_all_runs_before_it(client: Client) -> None:
    orders = define()
    api = orders.bind(client)
    async with executing(client, orders):
        for _ in range(2):
            await api.trigger("stubborn", Order())
            for _ in range(40):
                await api.update_status("stubborn", SHIPPED)
            await api.update_status("stubborn", REFUNDED, wait=True)
        await api.trigger("stubborn", Order())
        record: Record = await handle_of(client, api, "stubborn").query("record", result_type=Record)

    assert (len(record.refused_before), record.refused) == (MAX_REFUSALS, [])
    times = [refusal.time for refusal in record.refused_before]
    assert times == sorted(times)


async def test_what_was_applied_is_told_to_those_who_ask_and_not_to_the_steps(client: Client) -> None:
    orders = define_orders()
    source = Source(orders.bind(deduplicated(client)))
    handle = handle_of(client, source.api, "told")
    async with executing(client, orders):
        await source.trigger("1", "told")
        await source.update("2", "told", PAID)
        record = await handle.result()
        asked: Record = await handle.query("record", result_type=Record)

    request_id = RequestIDs(source.api.name, "source", "2").next("update_status", "told")
    assert record.applied == asked.applied == [request_id]
    scheduled = [
        event.activity_task_scheduled_event_attributes.input.payloads
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    [step] = await client.data_converter.decode(scheduled[0], [StepInput])
    assert (step.record.status, step.record.applied) == ("PAID", [])


async def is_closed(client: Client, source: Source, foreign_id: str) -> bool:
    return (await handle_of(client, source.api, foreign_id).describe()).close_time is not None


async def test_a_cancellation_that_is_delivered_again_changes_nothing(client: Client, source: Source) -> None:
    async def cancel() -> None:
        with handling(source.api.name, "source", "2"):
            await source.api.cancel("called off", "for the test")

    await source.trigger("1", "called off")
    await cancel()
    await cancel()
    await eventually(lambda: is_closed(client, source, "called off"))
    await cancel()

    assert (await source.api.latest("called off")).run_state is RunState.CANCELLED


@pytest.mark.parametrize("wait", [False, True])
async def test_a_new_update_of_a_finished_run_still_says_so(source: Source, *, wait: bool) -> None:
    foreign_id = f"finished-{wait}"
    await source.trigger("1", foreign_id)
    await source.update("2", foreign_id, REFUNDED, wait=True)

    with pytest.raises(RunFinished):
        await source.update("3", foreign_id, PAID, wait=wait)


@workflow.defn(dynamic=True, sandboxed=False)
class Silent:
    """Takes an update and never answers."""

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    async def update_status(self, update: StatusUpdate) -> None:
        await workflow.wait_condition(lambda: False)


async def test_a_run_that_is_ended_while_an_update_waits_says_so(client: Client) -> None:
    api = define().bind(client)
    async with Worker(client, task_queue=api.name, workflows=[Silent]), asyncio.TaskGroup() as tasks:
        await api.trigger("silent", Order())
        update = tasks.create_task(refusal(api.update_status("silent", PAID, wait=True)))
        await eventually(lambda: is_accepted(client, api, "silent"))
        await handle_of(client, api, "silent").terminate()

    assert "silent: the run was ended before it answered" in update.result()


async def refusal(call: Awaitable[None]) -> str:
    with pytest.raises(RunFinished) as caught:
        await call
    return str(caught.value)


async def is_accepted(client: Client, api: OrderAPI, foreign_id: str) -> bool:
    events = (await handle_of(client, api, foreign_id).fetch_history()).events
    accepted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
    return any(event.event_type == accepted for event in events)


@workflow.defn(name="tally", sandboxed=False)
class Tally:
    """Counts what reaches it, and ends when it is told to."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.is_over = False

    @workflow.run
    async def run(self) -> dict[str, int]:
        await workflow.wait_condition(lambda: self.is_over)
        return dict(self.counts)

    @workflow.signal
    def tell(self) -> None:
        self.counts["signals"] += 1

    @workflow.update
    async def ask(self) -> int:
        self.counts["updates"] += 1
        return self.counts["updates"]

    @workflow.signal
    def end(self) -> None:
        self.is_over = True


PlainCall: TypeAlias = Callable[[Client, str], Awaitable[Any]]


async def start(client: Client, name: str) -> str | None:
    policy = WorkflowIDReusePolicy.ALLOW_DUPLICATE
    handle = await client.start_workflow("tally", id=name, task_queue="tally", id_reuse_policy=policy)
    return handle.first_execution_run_id


async def signal(client: Client, name: str) -> None:
    await client.get_workflow_handle(name).signal("tell")


async def signal_with_start(client: Client, name: str) -> None:
    await client.start_workflow("tally", id=name, task_queue="tally", start_signal="tell")


async def update(client: Client, name: str) -> Any:
    return await client.get_workflow_handle(name).execute_update("ask")


async def update_with_start(client: Client, name: str) -> Any:
    operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        "tally", id=name, task_queue="tally", id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
    )
    return await client.execute_update_with_start_workflow("ask", start_workflow_operation=operation)


async def create_schedule(client: Client, name: str) -> None:
    action = ScheduleActionStartWorkflow("tally", id=name, task_queue="tally")
    await client.create_schedule(name, Schedule(action=action, spec=ScheduleSpec()))


class TestACallOfAPlainClient:
    """Made twice under one event, and once under another: two effects."""

    @pytest.fixture
    async def tallying(self, client: Client) -> AsyncGenerator[Client]:
        async with Worker(client, task_queue="tally", workflows=[Tally]):
            yield deduplicated(client)

    async def make(self, client: Client, call: PlainCall, name: str, event_id: str) -> Any:
        with handling("tallies", "source", event_id):
            return await call(client, name)

    @pytest.mark.parametrize(
        ("call", "counted"),
        [
            (signal, "signals"),
            (signal_with_start, "signals"),
            (update, "updates"),
            (update_with_start, "updates"),
        ],
    )
    async def test_counts_once(self, tallying: Client, call: PlainCall, counted: str) -> None:
        name = f"tally-{call.__name__}"
        await start(tallying, name)
        answers = [await self.make(tallying, call, name, event_id) for event_id in ("1", "1", "2", "1")]
        handle = tallying.get_workflow_handle(name)
        await handle.signal("end")

        assert await handle.result() == {counted: 2}
        assert answers[0] == answers[1] == answers[3]

    async def test_that_starts_makes_one_run(self, tallying: Client) -> None:
        first = await self.make(tallying, start, "tally-start", "1")
        assert await self.make(tallying, start, "tally-start", "1") == first
        handle = tallying.get_workflow_handle("tally-start")
        await handle.signal("end")
        await handle.result()

        assert await self.make(tallying, start, "tally-start", "1") == first, "also behind its end"
        assert await self.make(tallying, start, "tally-start", "2") != first

    async def test_that_updates_and_starts_makes_one_run(self, tallying: Client) -> None:
        await self.make(tallying, update_with_start, "tally-both", "1")
        handle = tallying.get_workflow_handle("tally-both")
        await handle.signal("end")
        run_id = (await handle.describe()).run_id
        await handle.result()

        assert await self.make(tallying, update_with_start, "tally-both", "1") == 1
        assert (await handle.describe()).run_id == run_id, "also behind its end"

    async def test_that_creates_a_schedule_finds_it_there(self, tallying: Client) -> None:
        await self.make(tallying, create_schedule, "tally-schedule", "1")
        await self.make(tallying, create_schedule, "tally-schedule", "1")

        with pytest.raises(ScheduleAlreadyRunningError):
            await self.make(tallying, create_schedule, "tally-schedule", "2")
