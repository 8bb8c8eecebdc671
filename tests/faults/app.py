"""The definition under test, as the harness's worker processes run it:

    python -m pumphouse.worker worker tests.faults.app:definition

Its handler calls what an event says, and its transitions allow more than the events ask for, so that a
mistake of the library is made by the runs and found, rather than refused and hidden.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from enum import Enum
from typing import Any, cast

from pydantic import BaseModel
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pumphouse.connectors import ConnectorEvent, InvalidEvent
from pumphouse.connectors.sql import SqlConnector
from pumphouse.workflows import API, ConnectorOptions, Run, StepOptions, Workflow
from tests.faults.broken import break_library
from tests.faults.graph import CLOSED, CLOSING, MOVES, OPENED, audits
from tests.faults.journal import Journal, Note
from tests.faults.load import POISON
from tests.faults.points import KillPoints, Point
from tests.faults.settings import CONNECTOR, HEARTBEAT_SECONDS, AppSettings
from tests.faults.source import SHARD_HEADER, FaultySource

STEP_OPTIONS = StepOptions(timeout=timedelta(seconds=5), error_backoff=timedelta(seconds=0.2))
"""A step whose worker was killed is repeated after its time-out."""


class Item(BaseModel):
    """What a run is about."""

    opened_by: str
    """The ID of the event that triggered the run."""


class Moves(BaseModel):
    """The content of an event."""

    to: list[str] = []
    """The statuses to be updated to, one call each."""
    wait: bool = False
    """Whether the calls wait for the change."""


_make_enum = cast("Callable[[str, list[str]], type[Enum]]", Enum)


def define(settings: AppSettings) -> Workflow[Item, Enum]:
    """The definition in the version that the settings ask for."""
    added = audits(settings.audits)
    status = _make_enum("Status", [OPENED, *MOVES, CLOSING, *added, CLOSED])
    definition = Workflow(settings.name, Item, status, task_queue=settings.name)
    for name in (OPENED, *MOVES):
        definition.allow(status[name], *(status[target] for target in (*MOVES, CLOSING)))
    closed, last = status[CLOSED], status[added[-1] if added else CLOSED]

    async def close(run: Run[Item, Enum]) -> Enum:
        return closed if run.status.name in added else last

    definition.add_step(status[CLOSING], close, [closed, *(status[name] for name in added)], STEP_OPTIONS)
    for name in added:
        definition.add_step(status[name], close, [closed], STEP_OPTIONS)
    _connect(definition, status, settings)
    return definition


def _connect(definition: Workflow[Item, Enum], status: type[Enum], settings: AppSettings) -> None:
    journal = Journal(settings.directory / "journal")
    points = KillPoints(settings.directory, journal)

    async def handle(api: API[Item, Enum], delivered: ConnectorEvent) -> None:
        journal.add(Note.HANDLING, delivered.headers[SHARD_HEADER], delivered.id)
        points.reach(Point.BEFORE_CALL)
        if delivered.type == POISON:
            raise InvalidEvent(source=CONNECTOR, position=delivered.id, reason="it is poison")
        moves = Moves.model_validate(delivered.data or {})
        if delivered.type == OPENED:
            await api.trigger(delivered.foreign_id, Item(opened_by=delivered.id))
        for number, name in enumerate(moves.to):
            if number:
                points.reach(Point.BETWEEN_CALLS)
            await api.update_status(delivered.foreign_id, status[name], wait=moves.wait)
        points.reach(Point.AFTER_CALL)

    inner = SqlConnector(
        _engine(settings.database_url, points),
        settings.events_table,
        cursor_table=settings.cursors_table,
        batch_size=50,
        poll_interval=timedelta(seconds=0.1),
    )
    source = FaultySource(inner, settings, journal, points)
    options = ConnectorOptions(
        parallel_count=settings.shard_count,
        consume_lag=timedelta(seconds=0.05),
        heartbeat_timeout=timedelta(seconds=HEARTBEAT_SECONDS),
        error_backoff=timedelta(seconds=0.2),
        max_backoff=timedelta(seconds=1),
        handler_timeout=timedelta(seconds=10),
    )
    definition.add_connector(CONNECTOR, source, handle, options)


def _engine(url: str, points: KillPoints) -> AsyncEngine:
    engine = create_async_engine(url)

    def commit(_connection: Any) -> None:
        points.reach(Point.IN_COMMIT)

    event.listen(engine.sync_engine, "commit", commit)
    return engine


if "FAULTS_NAME" in os.environ:  # as a worker process of the harness; its other modules read the types only
    _settings = AppSettings.model_validate({})
    break_library(_settings.broken)
    definition = define(_settings)
