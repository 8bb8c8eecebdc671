"""What a definition takes, what it refuses, and what it knows afterwards."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import fields
from datetime import timedelta
from enum import Enum
from typing import Any, get_type_hints

import pytest
from pydantic import BaseModel
from temporalio.client import Client

from pumphouse.connectors import ConnectorEvent
from pumphouse.connectors.memory import MemoryConnector
from pumphouse.workflows import (
    API,
    ConnectorOptions,
    InvalidDefinition,
    Run,
    StepOptions,
    UnknownStatus,
    Workflow,
)
from pumphouse.workflows.graph import EdgeKind
from pumphouse.workflows.options import ConnectorKeywords
from pumphouse.workflows.parked import ParkedEvent


class Order(BaseModel):
    total: int = 0


class Status(Enum):
    CREATED = "created"
    PAID = "paid"
    SHIPPED = "shipped"


class Other(Enum):
    CREATED = "created"
    PAID = "paid"


class Empty(Enum):
    """No status at all."""


class Renamed(Enum):
    CREATED = "created"
    SETTLED = "settled"
    PAID = "settled"  # noqa: PIE796 - the alias is the case


Orders = Workflow[Order, Status]
STEP_OPTIONS = StepOptions(
    timeout=timedelta(minutes=1), error_backoff=timedelta(seconds=2), max_backoff=timedelta(seconds=3)
)


async def note_dead_letter(parked: ParkedEvent) -> None: ...


CONNECTOR_OPTIONS: ConnectorKeywords = {
    "parallel_count": 5,
    "error_backoff": timedelta(seconds=30),
    "consume_lag": timedelta(minutes=5),
    "lag_alert": timedelta(minutes=10),
    "max_in_flight": 7,
    "heartbeat_timeout": timedelta(seconds=20),
    "handler_timeout": timedelta(seconds=3),
    "backoff_factor": 3.0,
    "max_backoff": timedelta(minutes=3),
    "jitter": 0.5,
    "max_attempts": 9,
    "non_retryable": (LookupError,),
    "order": "strict",
    "max_parked": 70,
    "on_dead_letter": note_dead_letter,
}
SOURCE = MemoryConnector()


def define(name: str = "orders", **options: Any) -> Orders:
    return Workflow(name, Order, Status, **options)


async def pay(_: Run[Order, Status]) -> Status:
    return Status.PAID


async def handle(api: API[Order, Status], event: ConnectorEvent) -> None:
    """Ignore the event."""


class Steps:
    """Functions in other forms than `async def` at the top of a module."""

    async def method(self, _: Run[Order, Status]) -> Status:
        return Status.PAID

    async def __call__(self, _: Run[Order, Status]) -> Status:
        return Status.PAID


@pytest.fixture
async def client() -> Client:
    """A client that never connects."""
    return await Client.connect("127.0.0.1:1", lazy=True)


def test_runs_start_at_the_first_member_of_the_enum() -> None:
    assert define().graph.start == "CREATED"


def test_runs_start_where_start_at_says() -> None:
    assert define(start_at=Status.PAID).graph.start == "PAID"


def test_a_start_that_is_no_status_of_the_definition_is_refused() -> None:
    with pytest.raises(UnknownStatus, match=r"'orders' has no status <Other\.PAID: 'paid'>"):
        define(start_at=Other.PAID)


def test_an_enum_without_members_has_no_starting_status() -> None:
    with pytest.raises(InvalidDefinition, match=r"'orders': no starting status: Empty has no members"):
        Workflow("orders", Order, Empty)


@pytest.mark.parametrize(
    "name", ["orders", "Orders.v2", "a", "0", "orders-eu_1", "pumphouse-demo", "Pumphouse"]
)
def test_a_name_may_have_letters_digits_dots_underscores_and_dashes(name: str) -> None:
    definition = define(name)
    assert (definition.name, definition.schema.name) == (name, name)


BAD_NAMES = [
    "",
    "orders/eu",
    "two words",
    "orders ",
    "orders\n",
    ".orders",
    "-orders",
    "_orders",
    "bestellungä",
]


@pytest.mark.parametrize("name", [*BAD_NAMES, "pumphouse", "pumphouse.connector"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(InvalidDefinition, match="the name must consist of") as refusal:
        define(name)
    assert repr(name) in str(refusal.value)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_connector_name_that_cannot_be_one_is_refused(name: str) -> None:
    definition = define()
    with pytest.raises(InvalidDefinition, match="connector name") as refusal:
        definition.add_connector(name, SOURCE, handle)
    assert repr(name) in str(refusal.value)
    assert definition.connectors == ()


def test_runs_remember_as_many_requests_as_the_definition_says() -> None:
    assert define(remembered_requests=1).schema.remembered_requests == 1
    assert define().schema.remembered_requests == 1000


@pytest.mark.parametrize("count", [0, -1])
def test_a_definition_cannot_remember_nothing(count: int) -> None:
    with pytest.raises(InvalidDefinition, match=f"remembered_requests must be at least 1, not {count}"):
        define(remembered_requests=count)


def test_runs_take_the_task_queue_given() -> None:
    assert define(task_queue="eu").task_queue == define(task_queue="eu").schema.task_queue == "eu"


def test_runs_take_the_pumphouse_task_queue_if_none_is_given() -> None:
    # A promise: the workers of an older version listen there.
    assert define().task_queue == "pumphouse"


def test_a_step_leads_from_its_status_to_its_answers() -> None:
    definition = define()
    definition.add_step(Status.CREATED, pay, [Status.SHIPPED, Status.PAID])
    assert definition.graph.targets("CREATED", EdgeKind.STEP) == ["SHIPPED", "PAID"]
    assert definition.graph.targets("CREATED", EdgeKind.EXTERNAL) == []


def test_a_transition_leads_from_its_status_to_each_of_its_targets() -> None:
    definition = define()
    definition.allow(Status.CREATED, Status.PAID, Status.SHIPPED)
    assert definition.graph.targets("CREATED", EdgeKind.EXTERNAL) == ["PAID", "SHIPPED"]
    assert definition.graph.targets("CREATED", EdgeKind.STEP) == []


def test_transitions_add_up() -> None:
    definition = define()
    definition.allow(Status.CREATED, Status.PAID)
    definition.allow(Status.CREATED, Status.SHIPPED)
    assert definition.graph.targets("CREATED", EdgeKind.EXTERNAL) == ["PAID", "SHIPPED"]


def test_steps_and_connectors_are_told_in_order_of_declaration() -> None:
    definition = define()
    definition.add_step(Status.PAID, pay, [Status.PAID])
    definition.add_step(Status.CREATED, pay, [Status.PAID])
    definition.add_connector("b", SOURCE, handle)
    definition.add_connector("a", SOURCE, handle)
    assert [step.status for step in definition.steps] == [Status.PAID, Status.CREATED]
    assert [connector.name for connector in definition.connectors] == ["b", "a"]


def test_a_step_is_found_by_the_name_of_its_status() -> None:
    definition = define()
    definition.add_step(Status.CREATED, pay, [Status.PAID], STEP_OPTIONS)
    step = definition.find_step("CREATED")
    assert step is not None
    assert (step.status, step.function, step.to, step.options) == (
        Status.CREATED,
        pay,
        (Status.PAID,),
        STEP_OPTIONS,
    )
    assert definition.find_step("PAID") is None


def test_a_step_does_not_change_with_the_list_that_its_answers_are_given_in() -> None:
    definition, to = define(), [Status.PAID]
    definition.add_step(Status.CREATED, pay, to)
    to.append(Status.SHIPPED)
    assert definition.steps[0].to == (Status.PAID,)


def test_a_second_step_for_a_status_is_refused_and_changes_nothing() -> None:
    definition = define()
    definition.add_step(Status.CREATED, pay, [Status.PAID])
    with pytest.raises(InvalidDefinition, match="status CREATED has a step already"):
        definition.add_step(Status.CREATED, pay, [Status.SHIPPED])
    assert [step.to for step in definition.steps] == [(Status.PAID,)]
    assert definition.graph.targets("CREATED", EdgeKind.STEP) == ["PAID"]


def test_a_connector_name_that_is_used_twice_is_refused_and_changes_nothing() -> None:
    definition = define()
    definition.add_connector("payments", SOURCE, handle)
    with pytest.raises(InvalidDefinition, match="connector 'payments' is declared twice"):
        definition.add_connector("payments", MemoryConnector(), handle)
    assert [connector.constructor for connector in definition.connectors] == [SOURCE]


def test_a_step_that_leads_nowhere_is_refused() -> None:
    definition = define()
    with pytest.raises(InvalidDefinition, match="step transition from CREATED leads nowhere"):
        definition.add_step(Status.CREATED, pay, [])
    assert definition.steps == ()


def test_a_transition_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(InvalidDefinition, match="external transition from CREATED leads nowhere"):
        define().allow(Status.CREATED)


DECLARATIONS: dict[str, Callable[[Workflow[Order, Any]], None]] = {
    "step of": lambda definition: definition.add_step(Other.CREATED, pay, [Status.PAID]),
    "step to": lambda definition: definition.add_step(Status.CREATED, pay, [Status.PAID, Other.CREATED]),
    "allow from": lambda definition: definition.allow(Other.CREATED, Status.PAID),
    "allow to": lambda definition: definition.allow(Status.CREATED, Status.PAID, Other.CREATED),
}


@pytest.mark.parametrize("declare", DECLARATIONS.values(), ids=DECLARATIONS)
def test_a_status_of_another_enum_is_refused_and_changes_nothing(
    declare: Callable[[Workflow[Order, Any]], None],
) -> None:
    definition = define()
    with pytest.raises(UnknownStatus, match=r"<Other\.CREATED: 'created'>; it has CREATED, PAID, SHIPPED"):
        declare(definition)
    assert definition.steps == ()
    assert definition.graph.is_terminal("CREATED")


def test_the_step_decorator_declares_what_add_step_does() -> None:
    decorated, added = define(), define()
    decorated.step(
        Status.CREATED,
        to=[Status.PAID, Status.SHIPPED],
        timeout=timedelta(minutes=1),
        error_backoff=timedelta(seconds=2),
        max_backoff=timedelta(seconds=3),
    )(pay)
    added.add_step(Status.CREATED, pay, [Status.PAID, Status.SHIPPED], STEP_OPTIONS)
    assert decorated.steps == added.steps
    assert decorated.graph == added.graph


def test_the_step_decorator_has_the_same_defaults_as_add_step() -> None:
    decorated, added = define(), define()
    decorated.step(Status.CREATED, to=[Status.PAID])(pay)
    added.add_step(Status.CREATED, pay, [Status.PAID])
    assert decorated.steps == added.steps
    assert decorated.steps[0].options == StepOptions()


def test_the_step_decorator_takes_every_step_option_with_its_default() -> None:
    keywords = [
        parameter
        for parameter in inspect.signature(Workflow[Order, Status].step).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    assert {(word.name, word.annotation, word.default) for word in keywords} == {
        (option.name, option.type, option.default) for option in fields(StepOptions)
    }


def test_the_connector_decorator_declares_what_add_connector_does() -> None:
    decorated, added = define(), define()
    decorated.connector("payments", SOURCE, **CONNECTOR_OPTIONS)(handle)
    added.add_connector("payments", SOURCE, handle, ConnectorOptions(**CONNECTOR_OPTIONS))
    assert decorated.connectors == added.connectors
    (connector,) = decorated.connectors
    assert (connector.name, connector.constructor, connector.handler) == ("payments", SOURCE, handle)
    assert connector.options == ConnectorOptions(**CONNECTOR_OPTIONS) != ConnectorOptions()


def test_the_connector_decorator_has_the_same_defaults_as_add_connector() -> None:
    decorated, added = define(), define()
    decorated.connector("payments", SOURCE)(handle)
    added.add_connector("payments", SOURCE, handle)
    assert decorated.connectors == added.connectors
    assert decorated.connectors[0].options == ConnectorOptions()


def test_the_connector_keywords_are_the_fields_of_the_connector_options() -> None:
    assert get_type_hints(ConnectorKeywords) == {field.name: field.type for field in fields(ConnectorOptions)}
    assert ConnectorKeywords.__optional_keys__ == set(get_type_hints(ConnectorKeywords))
    # The example below must show every one of them to be passed on.
    assert set(CONNECTOR_OPTIONS) == ConnectorKeywords.__optional_keys__


def test_the_decorators_give_the_function_back() -> None:
    definition = define()
    assert definition.step(Status.CREATED, to=[Status.PAID])(pay) is pay
    assert definition.connector("payments", SOURCE)(handle) is handle


def test_the_decorators_refuse_a_wrong_option_where_they_are_written() -> None:
    with pytest.raises(ValueError, match="timeout"):
        define().step(Status.CREATED, to=[Status.PAID], timeout=timedelta(0))
    with pytest.raises(ValueError, match="parallel_count"):
        define().connector("payments", SOURCE, parallel_count=0)


def pay_at_once(*_: object) -> Status:
    return Status.PAID


async def generate(*_: object) -> AsyncGenerator[Status]:
    yield Status.PAID


NOT_ASYNC: dict[str, Any] = {
    "function": pay_at_once,
    "generator": generate,
    "class": Steps,
    "object": 5,
}


@pytest.mark.parametrize("function", NOT_ASYNC.values(), ids=NOT_ASYNC)
def test_a_step_that_is_not_async_is_refused_and_changes_nothing(function: Any) -> None:
    definition = define()
    with pytest.raises(InvalidDefinition, match="the step of CREATED must be an async function, not"):
        definition.add_step(Status.CREATED, function, [Status.PAID])
    assert definition.steps == ()
    assert definition.graph.is_terminal("CREATED")


@pytest.mark.parametrize("function", NOT_ASYNC.values(), ids=NOT_ASYNC)
def test_a_handler_that_is_not_async_is_refused_and_changes_nothing(function: Any) -> None:
    definition = define()
    with pytest.raises(
        InvalidDefinition, match="the handler of connector 'a' must be an async function, not"
    ):
        definition.add_connector("a", SOURCE, function)
    assert definition.connectors == ()


ASYNC: dict[str, Callable[..., Awaitable[Any]]] = {
    "function": pay,
    "method": Steps().method,
    "partial": functools.partial(Steps.method, Steps()),
    "callable object": Steps(),
}


@pytest.mark.parametrize("function", ASYNC.values(), ids=ASYNC)
def test_a_step_or_handler_may_be_any_async_callable(function: Any) -> None:
    definition = define()
    definition.add_step(Status.CREATED, function, [Status.PAID])
    definition.add_connector("a", SOURCE, function)
    assert definition.steps[0].function is function
    assert definition.connectors[0].handler is function


def test_a_definition_that_reaches_every_status_is_whole() -> None:
    definition = define()
    definition.add_step(Status.CREATED, pay, [Status.PAID])
    definition.allow(Status.PAID, Status.SHIPPED)
    definition.validate()


def test_a_start_that_nothing_leads_on_from_is_refused() -> None:
    definition = define()
    definition.allow(Status.PAID, Status.SHIPPED)
    with pytest.raises(InvalidDefinition, match="nothing leads on from the starting status CREATED"):
        definition.validate()


def test_every_status_that_cannot_be_reached_is_named() -> None:
    definition = define(start_at=Status.PAID)
    definition.allow(Status.PAID, Status.PAID)
    with pytest.raises(InvalidDefinition, match="no path leads from PAID to CREATED, SHIPPED: "):
        definition.validate()


async def test_binding_refuses_a_definition_that_is_not_whole(client: Client) -> None:
    definition = define()
    definition.allow(Status.CREATED, Status.PAID)
    with pytest.raises(InvalidDefinition, match="to SHIPPED"):
        definition.bind(client)


async def test_binding_gives_the_api_of_the_definition(client: Client) -> None:
    definition = define()
    definition.allow(Status.CREATED, Status.PAID, Status.SHIPPED)
    api = definition.bind(client)
    assert isinstance(api, API)
    assert api.name == "orders"


def test_an_alias_of_a_status_is_no_status_of_its_own() -> None:
    definition = Workflow("orders", Order, Renamed)
    definition.allow(Renamed.CREATED, Renamed.PAID)
    definition.validate()


def test_an_alias_stands_for_its_status() -> None:
    definition = Workflow("orders", Order, Renamed, start_at=Renamed.PAID)
    definition.allow(Renamed.CREATED, Renamed.PAID)
    assert definition.graph.start == "SETTLED"
    assert definition.graph.targets("CREATED", EdgeKind.EXTERNAL) == ["SETTLED"]
