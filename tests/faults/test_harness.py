"""The harness in short: the library as it is breaks no promise, and a broken one is found out."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from tests.faults.checker import Kind
from tests.faults.injections import FAULTS, KILLS_AT
from tests.faults.points import Point
from tests.faults.settings import Break
from tests.faults.trial import Plan, Report, Stage, Trial, stage

SEED = 20130208
FEWEST_FAULTS = 3
"""A busy machine has time for so many kinds of fault, a quiet one for all."""


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stage]:
    async with stage(tmp_path_factory.mktemp("faults")) as servers:
        yield servers


async def test_every_event_has_its_effect_once_and_in_order_through_every_fault(servers: Stage) -> None:
    plan = Plan(
        name="short",
        seed=SEED,
        events=1000,
        foreign_ids=100,
        duration=timedelta(seconds=30),
        faults=FAULTS,
        storm_share=0.8,
    )

    report = await Trial(plan, servers).run()

    assert report.violations == []
    assert len({injection.fault for injection in report.injections}) >= FEWEST_FAULTS, "it shows nothing"


@pytest.fixture(scope="module")
async def broken(servers: Stage) -> dict[Break, Report]:
    """What came of a trial with each way to break a pump; at once, as each takes its time."""
    points = {
        Break.ACK_BEFORE_CALL: Point.BEFORE_CALL,
        Break.TWO_SHARDS: None,
        Break.NO_DEDUPE: Point.AFTER_CALL,
    }
    plans = [
        Plan(
            name=how,
            seed=SEED,
            events=300,
            foreign_ids=30,
            duration=timedelta(seconds=5),
            faults=[KILLS_AT[point]] if point else [],
            storm_share=1.0,
            # What comes twice has its effect twice, whatever a busy machine leaves undone of the kills.
            misdelivery_rate=0.3 if how is Break.NO_DEDUPE else 0.0,
            poison_share=0.0,
            patience=timedelta(seconds=8),
            broken=how,
        )
        for how, point in points.items()
    ]
    reports = await asyncio.gather(*(Trial(plan, servers).run() for plan in plans))
    return dict(zip(points, reports, strict=True))


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (Break.ACK_BEFORE_CALL, Kind.LOST),
        (Break.TWO_SHARDS, Kind.SHARDS),
        (Break.NO_DEDUPE, Kind.TWICE),
    ],
)
async def test_a_broken_pump_is_found_out(broken: dict[Break, Report], how: Break, kind: Kind) -> None:
    assert kind in {violation.kind for violation in broken[how].violations}
