"""The names under which things are known to Temporal; histories and other processes rely on them."""

import hashlib

from temporalio.common import SearchAttributeKey

MAX_WORKFLOW_ID_BYTES = 1000
"""Temporal's `limit.maxIDLength`, as servers have it by default."""

RECORD_QUERY = "record"
UPDATE_STATUS = "update_status"
CONFIGURE_SIGNAL = "configure"

PAUSE_UPDATE = "pause"
RESUME_UPDATE = "resume"
STOP_UPDATE = "stop"
SEEK_UPDATE = "seek"
DRY_RUN_UPDATE = "dry_run"

PLAN_ACTIVITY = "pumphouse.plan"
SUPERVISOR_WORKFLOW = "pumphouse.connector"
DEAD_LETTER_WORKFLOW = "pumphouse.dead-letter"
PARKING_LOT_WORKFLOW = "pumphouse.parking-lot"

REDRIVE_UPDATE = "redrive"
DISCARD_UPDATE = "discard"
RELEASE_SIGNAL = "release"
PLACE_UPDATE = "place"
LEFT_SIGNAL = "left"
WAITS_SIGNAL = "waits"
PARKED_QUERY = "parked"
HOLDS_QUERY = "holds"

SUPERVISOR_PREFIX = "pumphouse/connector/"
"""What the workflow IDs of all supervisors begin with."""

TRIGGERS_MEMO = "PumphouseTriggers"
CONNECTOR_MEMO = "PumphouseConnector"

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


def seek_activity(definition: str, connector: str) -> str:
    """The activity that sets the positions of a connector's shards."""
    return f"{definition}.seek[{connector}]"


def consumer_group(definition: str, connector: str) -> str:
    """What the consumer names of a connector begin with, and no other's do."""
    return f"{definition}/{connector}/"


def consumer_name(definition: str, connector: str, shard: str) -> str:
    """Under which the source knows a shard of a connector."""
    return f"{consumer_group(definition, connector)}{shard}"


def redrive_activity(definition: str, connector: str) -> str:
    """The activity that hands a parked event of a connector to its handler."""
    return f"{definition}.redrive[{connector}]"


def sink_activity(definition: str, connector: str) -> str:
    """The activity that tells a connector's `on_dead_letter` of an event."""
    return f"{definition}.dead-letter[{connector}]"


def dead_letter_prefix(definition: str, connector: str) -> str:
    """What the workflow IDs of a connector's parked events begin with."""
    return f"pumphouse/dead-letter/{definition}/{connector}/"


def dead_letter_workflow_id(definition: str, connector: str, event_id: str) -> str:
    """The workflow ID of a parked event; one too long for Temporal has the ID's hash in place of the ID."""
    prefix = dead_letter_prefix(definition, connector)
    if len(prefix.encode()) + len(event_id.encode()) <= MAX_WORKFLOW_ID_BYTES:
        return prefix + event_id
    return f"{prefix}sha256:{hashlib.sha256(event_id.encode()).hexdigest()}"


def parking_lot_workflow_id(definition: str, connector: str) -> str:
    """The workflow ID of a connector's parking lot."""
    return f"pumphouse/parking-lot/{definition}/{connector}"


def supervisor_workflow_id(definition: str, connector: str) -> str:
    """The workflow ID of a connector's supervisor; no run can have it, as no definition is named so."""
    return f"{SUPERVISOR_PREFIX}{definition}/{connector}"


def pump_task_queue(task_queue: str) -> str:
    """The task queue of the pumps beside that of the runs, so that they never take a step's slot."""
    return f"{task_queue}/pumps"
