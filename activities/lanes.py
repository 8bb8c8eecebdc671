"""One queue for each foreign ID: in order within it, side by side between them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from pumphouse.activities.acks import Receipt


class Lanes:
    """Delivers each foreign ID's events one after the other, in a task that lives as long as its queue."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        deliver: Callable[[Receipt], Awaitable[bool]],
    ) -> None:
        """Begin without lanes.

        Args:
            tasks: owns the lanes' tasks.
            deliver: takes one event to its end; its answer False ends the lane, and leaves the event
                and all behind it as they are.
        """
        self._tasks = tasks
        self._deliver = deliver
        self._queues: dict[str, deque[Receipt]] = {}
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> frozenset[asyncio.Task[None]]:
        """The lanes' tasks."""
        return frozenset(self._running)

    def put(self, receipt: Receipt) -> None:
        """Queue an event behind the others of its foreign ID."""
        foreign_id = receipt.event.foreign_id
        if queue := self._queues.get(foreign_id):
            queue.append(receipt)
            return
        self._queues[foreign_id] = deque([receipt])
        task = self._tasks.create_task(self._run(foreign_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, foreign_id: str) -> None:
        queue = self._queues[foreign_id]
        # The event stays at the head while it is delivered: an empty queue means that the lane is gone.
        while queue and await self._deliver(queue[0]):
            queue.popleft()
        del self._queues[foreign_id]
