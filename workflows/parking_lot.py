"""The Temporal workflow that keeps parked events of one foreign ID in their order, one for each connector.

It knows IDs alone; the events are in their dead letters' workflows. It ends when nothing is parked in order.
"""

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

from pumphouse.workflows import names
from pumphouse.workflows.parked import ParkingLotInput, PlaceRequest, QueuedEvent

FULL = "ParkingLotFull"


@workflow.defn(name=names.PARKING_LOT_WORKFLOW, sandboxed=False)
class ParkingLot:
    """A queue of event IDs for each foreign ID that has parked events."""

    @workflow.init
    def __init__(self, start: ParkingLotInput) -> None:
        """Go on with the queues that there are."""
        self._start = start
        self._queues = start.queues
        self._was_asked = bool(start.queues)

    @workflow.run
    async def run(self, start: ParkingLotInput) -> None:
        """Keep the queues until all are empty."""
        await workflow.wait_condition(
            lambda: (
                (self._is_over or workflow.info().is_continue_as_new_suggested())
                and workflow.all_handlers_finished()
            )
        )
        if not self._is_over:
            workflow.continue_as_new(ParkingLotInput(start.definition, start.connector, self._queues))

    @property
    def _is_over(self) -> bool:
        # The update that starts the workflow comes after `run` has begun.
        return self._was_asked and not self._queues

    @workflow.query(name=names.PARKED_QUERY)
    def parked(self) -> list[str]:
        """The foreign IDs that have parked events."""
        return list(self._queues)

    @workflow.query(name=names.HOLDS_QUERY)
    def holds(self, foreign_id: str) -> bool:
        """Whether a foreign ID has parked events."""
        return foreign_id in self._queues

    @workflow.update(name=names.PLACE_UPDATE)
    async def place(self, request: PlaceRequest) -> None:
        """Queue an event behind the others of its foreign ID; its dead letter is there already."""
        await self._queue(request.foreign_id, request.event_id)

    @place.validator
    def _has_room(self, request: PlaceRequest) -> None:
        if request.event_id in self._queues.get(request.foreign_id, ()):
            return
        if sum(map(len, self._queues.values())) >= request.limit:
            raise ApplicationError(
                f"{request.limit} events are parked: redrive or discard some, or raise max_parked", type=FULL
            )

    @workflow.signal(name=names.WAITS_SIGNAL)
    async def waits(self, queued: QueuedEvent) -> None:
        """Queue an event at the word of its dead letter: the pump may die before it asks for the place."""
        await self._queue(queued.foreign_id, queued.event_id)

    @workflow.signal(name=names.LEFT_SIGNAL)
    async def left(self, queued: QueuedEvent) -> None:
        """Take an event out, and let the next one of its foreign ID go on."""
        if self._take_out(queued.foreign_id, queued.event_id):
            await self._release_first(queued.foreign_id)

    async def _queue(self, foreign_id: str, event_id: str) -> None:
        self._was_asked = True
        queue = self._queues.setdefault(foreign_id, [])
        if event_id not in queue:
            queue.append(event_id)
        if queue[0] == event_id:
            await self._release_first(foreign_id)

    async def _release_first(self, foreign_id: str) -> None:
        """Let the first of a queue go on; one whose dead letter is closed is not waited for."""
        while queue := self._queues.get(foreign_id):
            first = queue[0]
            if await self._is_released(first):
                return
            self._take_out(foreign_id, first)

    async def _is_released(self, event_id: str) -> bool:
        letter = workflow.get_external_workflow_handle(
            names.dead_letter_workflow_id(self._start.definition, self._start.connector, event_id)
        )
        try:
            await letter.signal(names.RELEASE_SIGNAL)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            return False
        return True

    def _take_out(self, foreign_id: str, event_id: str) -> bool:
        """Take an event out of its queue; whether it was the first."""
        queue = self._queues.get(foreign_id, [])
        if event_id not in queue:
            return False
        was_first = queue[0] == event_id
        queue.remove(event_id)
        if not queue:
            del self._queues[foreign_id]
        return was_first
