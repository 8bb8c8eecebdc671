"""The names under which things are known to Temporal; histories and other processes rely on them."""

from temporalio.common import SearchAttributeKey

RECORD_QUERY = "record"
UPDATE_STATUS = "update_status"
CONFIGURE_SIGNAL = "configure"

PLAN_ACTIVITY = "pumphouse.plan"
SUPERVISOR_WORKFLOW = "pumphouse.connector"

TRIGGERS_MEMO = "PumphouseTriggers"

FOREIGN_ID = SearchAttributeKey.for_keyword("PumphouseForeignId")
STATUS = SearchAttributeKey.for_keyword("PumphouseStatus")
RUN_STATE = SearchAttributeKey.for_keyword("PumphouseRunState")
SEARCH_ATTRIBUTES = (FOREIGN_ID, STATUS, RUN_STATE)


def step_activity(definition: str, status: str) -> str:
    """The activity that runs the step of a status."""
    return f"{definition}.step[{status}]"


def pump_activity(definition: str, connector: str) -> str:
    """The activity that pumps one shard of a connector."""
    return f"{definition}.connector[{connector}]"


def reshard_activity(definition: str, connector: str) -> str:
    """The activity that gives the shards of a connector their positions."""
    return f"{definition}.reshard[{connector}]"


def supervisor_workflow_id(definition: str, connector: str) -> str:
    """The workflow ID of a connector's supervisor; no run can have it, as no definition is named so."""
    return f"pumphouse/connector/{definition}/{connector}"


def pump_task_queue(task_queue: str) -> str:
    """The task queue of the pumps beside that of the runs, so that they never take a step's slot."""
    return f"{task_queue}/pumps"
