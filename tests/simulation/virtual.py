"""Puts the library's modules into the simulated world for a while."""

import gc
import hashlib
import json
import logging
from asyncio import coroutines, tasks
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cache
from types import CoroutineType
from typing import Any
from unittest.mock import patch

from pumphouse.activities import acks, context, delivery, failures, lease, parking, pump, shards
from pumphouse.activities.stats import PumpStats
from pumphouse.workflows import dead_letter, parking_lot, requests
from tests.simulation.clock import CLOCK, Calendar
from tests.simulation.workflows import WORKFLOW

SHORT_MARGIN = timedelta(seconds=0.5)
"""In place of the seconds that Temporal adds to a handler's time-out, which are but many heartbeats here."""


class _NoMetrics:
    """Measures nothing; one for all pumps."""

    def __call__(self, _definition: str, _connector: str, _shard: str) -> "_NoMetrics":
        return self

    def _note(self, *_: object, **__: object) -> None:
        pass

    received = skipped = dead_lettered = parked = retried = _note
    succeeded = failed = source_failed = observe = _note


class _Hashing:
    """In place of a module's `hashlib`: each text is hashed once only."""

    sha256 = staticmethod(cache(hashlib.sha256))
    blake2b = staticmethod(cache(hashlib.blake2b))


class _Writing:
    """In place of a module's `json`: each list is written once only."""

    def dumps(self, parts: list[object], **how: object) -> str:
        return _write(tuple(parts), tuple(how.items()))


@cache
def _write(parts: tuple[object, ...], how: tuple[tuple[str, Any], ...]) -> str:
    return json.dumps(parts, **dict(how))


@contextmanager
def virtual() -> Generator[None]:
    """Let the pump's modules live by the clock of the schedules, unmeasured and unlogged."""
    calendar = Calendar()
    stand_ins: list[tuple[Any, str, object]] = [
        *((module, "time", CLOCK) for module in (delivery, lease, pump)),
        *((module, "datetime", calendar) for module in (acks, delivery, parking, pump)),
        *((module, "workflow", WORKFLOW) for module in (dead_letter, parking_lot)),
        (context, "PumpMetrics", _NoMetrics()),
        # No source here tells positions, and a protocol is slow to ask for.
        (pump, "Positioned", ()),
        (shards, "hashlib", _Hashing),
        (requests, "hashlib", _Hashing),
        (requests, "json", _Writing()),
        (parking, "TIMEOUT_MARGIN", SHORT_MARGIN),
        # Nobody here reads a heartbeat's details, or a log line.
        (pump, "copy", _same),
        (failures, "printable", cache(failures.printable)),
        # All coroutines here are Python's own; asyncio asks so of each task that it waits for.
        (coroutines, "iscoroutine", _is_coroutine),
    ]
    if (all_tasks := getattr(tasks, "_all_tasks", None)) is not None:
        # asyncio's register of tasks hashes each one, and asks for nothing here.
        stand_ins.append((all_tasks, "add", _ignore))
    logging.disable()
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        with ExitStack() as stack:
            for module, name, stand_in in stand_ins:
                stack.enter_context(patch.object(module, name, stand_in))
            yield
    finally:
        logging.disable(logging.NOTSET)
        if was_collecting:
            gc.enable()


def _ignore(_task: object) -> None:
    pass


def _same(stats: PumpStats) -> PumpStats:
    return stats


def _is_coroutine(thing: object) -> bool:
    return type(thing) is CoroutineType
