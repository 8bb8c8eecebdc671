"""Waits for parked events to stand as they are to stand."""

from pumphouse.workflows import DeadLetterNotFound, DeadLetters, DeadLetterTimeout
from pumphouse.workflows.parked import DeadLetterRecord
from tests.eventually import eventually


async def stands(letters: DeadLetters, event_id: str, standing: str) -> DeadLetterRecord:
    """Wait until a parked event stands so."""

    async def look() -> DeadLetterRecord | None:
        try:
            record = await letters.get(event_id)
        except (DeadLetterNotFound, DeadLetterTimeout):
            return None
        return record if record.standing == standing else None

    return await eventually(look)
