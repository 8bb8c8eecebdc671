"""What a dry run shows of the calls and dead letters that it does not make."""

import logging
from dataclasses import dataclass

from pumphouse.activities.stats import PumpStats
from pumphouse.workflows.dry_run import RecordedCall
from pumphouse.workflows.parked import DeadLetterInput

logger = logging.getLogger(__name__)

MAX_SHOWN = 10


@dataclass(frozen=True)
class DryRun:
    """Tells the log of everything that is not sent, and the heartbeat of the newest.

    It stands in for the places where events are parked, too, and parks none.
    """

    consumer_name: str
    """The pump's, by which the log names it."""
    stats: PumpStats

    def note(self, call: RecordedCall) -> None:
        """Note a call of the handler."""
        self._show(str(call))

    async def foreign_ids(self) -> set[str]:
        """None: every event goes through the handler."""
        return set()

    async def holds(self, foreign_id: str) -> bool:
        """No, as none is parked."""
        del foreign_id
        return False

    async def place(self, foreign_id: str, event_id: str) -> None:
        """None is taken."""

    async def put(self, letter: DeadLetterInput) -> None:
        """Note an event that would be parked."""
        self._show(
            f"event {letter.parked.event_id}, foreign ID {letter.parked.foreign_id}: {letter.standing}"
        )

    def _show(self, what: str) -> None:
        logger.info("connector %s, dry run, not sent: %s", self.consumer_name, what)
        self.stats.dry_run_calls = [*self.stats.dry_run_calls, what][-MAX_SHOWN:]
