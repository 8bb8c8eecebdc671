"""The Temporal activities of a definition's runs: the plans of its statuses, and its steps."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from temporalio import activity
from temporalio.exceptions import ApplicationError

from pumphouse.activities.heartbeats import beating
from pumphouse.workflows import names
from pumphouse.workflows.definition import Step, Workflow
from pumphouse.workflows.graph import EdgeKind
from pumphouse.workflows.messages import Plan, PlanRequest, StepInput, StepPlan, StepResult

Activity: TypeAlias = Callable[..., Any]

BEATS_PER_TIMEOUT = 5
"""How often a step heartbeats; the SDK sends most of what is new, and a late one does no harm."""


def plan_activity(
    definitions: Mapping[str, Workflow[Any, Any]], has_search_attributes: Callable[[], bool]
) -> Activity:
    """The activity that tells the machine what there is to do at a status.

    Args:
        definitions: by name.
        has_search_attributes: whether the server knows them; asked for each plan.
    """

    @activity.defn(name=names.PLAN_ACTIVITY)
    async def plan(request: PlanRequest) -> Plan:
        definition = definitions.get(request.definition)
        status = definition.schema.find_status(request.status) if definition else None
        if definition is None or status is None:
            # Another worker may know better, or this one after its next deployment: the run waits for it.
            raise ApplicationError(
                f"this worker has no status {request.status!r} of a definition {request.definition!r}; "
                "register the definition with its plugin, or bring the status back"
            )
        return _plan(definition, status.name, has_search_attributes=has_search_attributes())

    return plan


def _plan(definition: Workflow[Any, Any], status: str, *, has_search_attributes: bool) -> Plan:
    step = definition.find_step(status)
    return Plan(
        status=status,
        terminal=definition.graph.is_terminal(status),
        search_attributes=has_search_attributes,
        step=_step_plan(definition.name, step) if step else None,
        external=definition.graph.targets(status, EdgeKind.EXTERNAL),
    )


def _step_plan(definition: str, step: Step[Any, Any]) -> StepPlan:
    return StepPlan(
        activity=names.step_activity(definition, step.status.name),
        timeout_seconds=step.options.timeout.total_seconds(),
        heartbeat_seconds=step.options.heartbeat_timeout.total_seconds(),
        backoff_seconds=step.options.error_backoff.total_seconds(),
        max_backoff_seconds=step.options.max_backoff.total_seconds(),
    )


def step_activity(definition: Workflow[Any, Any], step: Step[Any, Any]) -> Activity:
    """The activity that runs the step of a status."""

    @activity.defn(name=names.step_activity(definition.name, step.status.name))
    async def run_step(request: StepInput) -> StepResult:
        run = definition.schema.run(request.record)
        try:
            answer = await beating(step.function(run), step.options.heartbeat_timeout / BEATS_PER_TIMEOUT)
        except ApplicationError as error:
            # The activity's failure would end the run; a step is repeated until it answers.
            raise ApplicationError(error.message, *error.details, type=error.type) from error
        if answer not in step.to:
            allowed = ", ".join(status.name for status in step.to)
            raise ApplicationError(
                f"the step of {step.status.name} answered {answer!r}, and is declared to answer {allowed}",
                type="UndeclaredStatus",
            )
        return StepResult(definition.schema.status_name(answer), definition.schema.dump(run.object))

    return run_step
