"""A parking lot in this process, that does what the one in Temporal does, and may be made to fail."""

from pumphouse.workflows.parked import DeadLetterInput
from tests.unit.activities.records import Record
from tests.unit.activities.sources import Before, let_be


class Lot:
    """Keeps the queues and the dead letters, and records what it did: `place 1`, `put 1`."""

    def __init__(self, moves: Record[str] | None = None, *, before: Before = let_be) -> None:
        """Begin empty.

        Args:
            moves: takes what was done.
            before: is awaited before each move, `load`, `place 1`, `put 1`, and again before it is answered,
                `loaded`, `placed 1`, `has put 1`; its error is the move's.
        """
        self.moves = Record[str]() if moves is None else moves
        self.tries = Record[str]()
        """Also the moves that were held up or failed."""
        self.queues: dict[str, list[str]] = {}
        self.letters: dict[str, DeadLetterInput] = {}
        """The dead letters that are open, by event ID."""
        self._before = before

    async def foreign_ids(self) -> set[str]:
        await self._try("load")
        await self._before("loaded")
        return set(self.queues)

    async def holds(self, foreign_id: str) -> bool:
        await self._try(f"look {foreign_id}")
        await self._before(f"looked {foreign_id}")
        return foreign_id in self.queues

    async def put(self, letter: DeadLetterInput) -> None:
        event_id = letter.parked.event_id
        await self._try(f"put {event_id}")
        if event_id not in self.letters:
            self.letters[event_id] = letter
            self.moves.add(f"put {event_id}")
        await self._before(f"has put {event_id}")

    async def place(self, foreign_id: str, event_id: str) -> None:
        await self._try(f"place {event_id}")
        queue = self.queues.setdefault(foreign_id, [])
        if event_id not in queue:
            queue.append(event_id)
            self.moves.add(f"place {event_id}")
        await self._before(f"placed {event_id}")

    def leave(self, foreign_id: str, event_id: str) -> None:
        """Let an event go, as when it was redriven."""
        self.queues[foreign_id].remove(event_id)
        if not self.queues[foreign_id]:
            del self.queues[foreign_id]
        del self.letters[event_id]

    @property
    def standings(self) -> dict[str, str]:
        return {event_id: letter.standing for event_id, letter in self.letters.items()}

    async def _try(self, move: str) -> None:
        self.tries.add(move)
        await self._before(move)
