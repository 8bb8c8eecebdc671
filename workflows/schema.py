"""What the runs of a definition look like: their name, their object, their statuses, and all as JSON."""

import json
from dataclasses import dataclass
from typing import Generic

from pydantic import JsonValue

from pumphouse.workflows.errors import InvalidForeignID, UnknownStatus
from pumphouse.workflows.messages import DEFAULT_REMEMBERED_REQUESTS, Record
from pumphouse.workflows.names import MAX_WORKFLOW_ID_BYTES
from pumphouse.workflows.run import ObjectT, Run, RunState, StatusT


@dataclass(frozen=True)
class RunSchema(Generic[ObjectT, StatusT]):
    """The types of a definition's runs, and how they are written down."""

    name: str
    object_type: type[ObjectT]
    status_type: type[StatusT]
    task_queue: str
    remembered_requests: int = DEFAULT_REMEMBERED_REQUESTS
    """How many request IDs of updates a run keeps, to know them when they come again."""

    def workflow_id(self, foreign_id: str) -> str:
        """The workflow ID of a foreign ID's runs.

        Raises:
            InvalidForeignID: it is empty, no valid Unicode, or too long for Temporal.
        """
        if not foreign_id:
            raise InvalidForeignID(foreign_id, "must not be empty")
        workflow_id = f"{self.name}/{foreign_id}"
        try:
            size = len(workflow_id.encode())
        except UnicodeEncodeError as error:
            raise InvalidForeignID(foreign_id, "must be valid Unicode, without lone surrogates") from error
        if size > MAX_WORKFLOW_ID_BYTES:
            raise InvalidForeignID(
                foreign_id,
                f"makes a workflow ID of {size} bytes, and Temporal takes {MAX_WORKFLOW_ID_BYTES} at most",
            )
        return workflow_id

    def status_name(self, status: StatusT) -> str:
        """The name under which a status travels.

        Raises:
            UnknownStatus: it is not a member of the definition's Enum.
        """
        if not isinstance(status, self.status_type):
            raise UnknownStatus(self.name, status, self.status_type.__members__)
        return status.name

    def find_status(self, name: str) -> StatusT | None:
        """The status that has, or as an alias once had, that name."""
        return self.status_type.__members__.get(name)

    def dump(self, value: ObjectT) -> JsonValue:
        """The object as JSON.

        Raises:
            TypeError: it is of another type than the definition's; a subclass too, as its own fields would
                not come back.
        """
        if type(value) is not self.object_type:
            raise TypeError(
                f"definition {self.name!r}: the object is a {type(value).__name__}, "
                f"not a {self.object_type.__name__}"
            )
        dumped: JsonValue = value.model_dump(mode="json", by_alias=False, round_trip=True)
        return dumped

    def load(self, value: JsonValue) -> ObjectT:
        """The object that `dump` has written; strict models too, which is why it goes by JSON text."""
        return self.object_type.model_validate_json(json.dumps(value), by_alias=False, by_name=True)

    def run(self, record: Record) -> Run[ObjectT, StatusT]:
        """A record of the machine, with the user's types.

        Raises:
            UnknownStatus: the run is at a status that the Enum no longer has.
            pydantic.ValidationError: the object no longer fits its type.
        """
        status = self.find_status(record.status)
        if status is None:
            raise UnknownStatus(self.name, record.status, self.status_type.__members__)
        return Run(
            foreign_id=record.foreign_id,
            run_id=record.run_id,
            object=self.load(record.object),
            status=status,
            run_state=RunState(record.run_state),
            version=record.version,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )
