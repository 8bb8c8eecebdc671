"""Events that a pump sets aside: which, when, and that its shard goes on."""

from pumphouse.activities.delivery import PATIENT_ATTEMPTS
from pumphouse.activities.shards import shards
from pumphouse.connectors import Ack, ConnectorConsumer, ConnectorEvent, InvalidEvent
from tests.unit.activities.events import events_of
from tests.unit.activities.places import Lot
from tests.unit.activities.rigs import SOON, Gates, Handle, Rig, hang, pumping
from tests.unit.activities.sources import Outage, WatchedSource

AWAY = ConnectionError("the server is away")


def poisoned(*foreign_ids: str) -> Handle:
    """A handler that takes all events but those of some foreign IDs."""

    async def handle(event: ConnectorEvent) -> None:
        if event.foreign_id in foreign_ids:
            raise ValueError

    return handle


def before(rig: Rig, first: str, second: str) -> bool:
    return rig.moves.entries.index(first) < rig.moves.entries.index(second)


# An event that holds up its shard


async def test_an_event_that_keeps_failing_in_front_of_a_full_window_is_parked_and_the_shard_goes_on() -> (
    None
):
    events = events_of("poison", *"abcabcabc")
    async with pumping(WatchedSource(*events), poisoned("poison"), max_in_flight=4) as rig:
        await rig.moves.until("ack 10")
    assert rig.lot.standings == {"1": "waiting"}
    assert rig.moves.count("begin 1") == PATIENT_ATTEMPTS
    assert before(rig, "put 1", "ack 1")
    assert rig.acks == [f"ack {number}" for number in range(1, 11)]


async def test_a_full_window_of_one_foreign_id_that_fails_is_parked_in_its_order() -> None:
    events = events_of(*["poison"] * 6, "a", "b")
    async with pumping(WatchedSource(*events), poisoned("poison"), max_in_flight=4) as rig:
        await rig.moves.until("ack 8", "end 7", "end 8")
    assert rig.lot.queues == {"poison": ["1", "2", "3", "4", "5", "6"]}
    assert rig.lot.standings == {"1": "waiting", **dict.fromkeys("23456", "waiting")}
    assert not any(f"begin {event_id}" in rig.moves.entries for event_id in "23456")
    assert all(before(rig, f"put {event_id}", f"ack {event_id}") for event_id in "123456")


async def test_an_event_that_fails_while_there_is_room_is_not_parked() -> None:
    async with pumping(WatchedSource(*events_of("poison", "a", "b")), poisoned("poison")) as rig:
        await rig.moves.until("end 2", "end 3")
        await rig.heartbeats.next(lambda stats: stats.retried > 2 * PATIENT_ATTEMPTS)
    assert rig.lot.moves.count("put 1") == 0
    assert rig.acks == []


async def test_an_outage_parks_nothing_and_ends_with_every_event_handled() -> None:
    down = True

    async def handle(_event: ConnectorEvent) -> None:
        if down:
            raise AWAY

    async with pumping(WatchedSource(*events_of(*"abcdefgh")), handle, max_in_flight=4) as rig:
        await rig.heartbeats.next(lambda stats: stats.retried > 8 * PATIENT_ATTEMPTS)
        down = False
        await rig.moves.until("ack 8")
    assert rig.lot.letters == {}
    assert rig.lot.tries.entries == ["load"]


async def test_an_event_that_keeps_failing_in_a_window_of_one_is_parked_too() -> None:
    source = WatchedSource(*events_of("poison", "a"))
    async with pumping(source, poisoned("poison"), max_in_flight=1) as rig:
        await rig.heartbeats.next(lambda stats: stats.retried > 3 * PATIENT_ATTEMPTS or stats.acked > 1)
        assert rig.lot.standings == {"1": "waiting"}


async def test_the_events_that_fail_are_shown_with_their_errors() -> None:
    async with pumping(WatchedSource(*events_of(*["a", "b"] * 8)), poisoned("a")) as rig:
        stats = await rig.heartbeats.next(lambda stats: bool(stats.failing))
    (failing,) = stats.failing
    assert failing.startswith("event 1, attempt ")
    assert failing.endswith(": ValueError")


async def test_no_more_than_ten_of_the_events_that_fail_are_shown() -> None:
    names = [f"order-{number}" for number in range(20)]
    async with pumping(WatchedSource(*events_of(*names)), poisoned(*names)) as rig:
        await rig.moves.until("begin 20")
        stats = await rig.heartbeats.next(lambda stats: stats.retried > 20)
    assert len(stats.failing) == 10


# Events that are given up


async def test_an_event_that_is_given_up_is_parked_before_it_is_acked_and_the_later_ones_go_on() -> None:
    async def handle(event: ConnectorEvent) -> None:
        if event.id == "1":
            raise ValueError

    async with pumping(WatchedSource(*events_of(*"aab")), handle, max_attempts=2) as rig:
        await rig.moves.until("ack 3")
        stats = await rig.heartbeats.next(lambda stats: stats.acked == 3)
    assert rig.moves.count("begin 1") == 2
    assert rig.lot.standings == {"1": "dead"}
    assert before(rig, "put 1", "begin 2")
    assert before(rig, "put 1", "ack 1")
    assert (stats.dead_lettered, stats.parked, stats.delivered) == (1, 1, 2)


async def test_in_strict_order_the_later_events_of_a_foreign_id_wait_behind_a_dead_letter() -> None:
    events = events_of(*"aaba")
    async with pumping(WatchedSource(*events), poisoned("a"), max_attempts=1, order="strict") as rig:
        await rig.moves.until("ack 4")
    assert rig.lot.queues == {"a": ["1", "2", "4"]}
    assert rig.lot.standings == {"1": "dead", "2": "waiting", "4": "waiting"}
    assert [move for move in rig.moves.entries if move.startswith("begin")] == ["begin 1", "begin 3"]


async def test_a_handler_that_never_ends_is_given_up_by_its_time_out() -> None:
    async def handle(event: ConnectorEvent) -> None:
        if event.id == "1":
            await hang(event)

    source = WatchedSource(*events_of("a", "b"))
    async with pumping(source, handle, handler_timeout=SOON, max_attempts=2) as rig:
        await rig.moves.until("ack 2")
    assert (
        rig.lot.letters["1"].parked.errors[0] == "TimeoutError: longer than handler_timeout, 0:00:00.005000"
    )


async def test_an_event_is_not_acked_while_it_cannot_be_parked() -> None:
    source = WatchedSource(*events_of("poison", "a"))
    outage = Outage("put 1", AWAY)
    lot = Lot(source.moves, before=outage)
    async with pumping(source, poisoned("poison"), lot=lot, max_attempts=1) as rig:
        await lot.tries.more(1)
        await rig.moves.until("end 2")
        await lot.tries.more(3)
        assert rig.acks == []
        outage.end()
        await rig.moves.until("ack 2")
    assert lot.standings == {"1": "dead"}


async def test_an_event_that_could_not_be_parked_before_the_stop_comes_again() -> None:
    source = WatchedSource(*events_of("poison", "a"))
    lot = Lot(source.moves, before=Outage("put 1", AWAY))
    async with pumping(source, poisoned("poison"), lot=lot, max_attempts=1) as rig:
        await lot.tries.until("put 1")
        await rig.stop()
    assert rig.acks == []
    async with pumping(source, poisoned("poison"), max_attempts=1) as rig:
        await rig.moves.until("ack 2")
    assert rig.lot.standings == {"1": "dead"}


async def test_nothing_is_received_before_the_pump_knows_what_is_parked() -> None:
    source = WatchedSource(*events_of("a", "b"))
    outage = Outage("load", AWAY)
    lot = Lot(source.moves, before=outage)
    lot.queues["a"] = ["0"]
    async with pumping(source, lot=lot) as rig:
        await rig.heartbeats.more(3)
        assert source.tries.entries == []
        outage.end()
        await rig.moves.until("ack 2")
    assert lot.standings == {"1": "waiting"}
    assert "begin 1" not in rig.moves.entries


async def test_a_dead_letter_tells_the_position_of_its_event() -> None:
    async with pumping(
        PositionedSource(*events_of("a", "poison")), poisoned("poison"), max_attempts=1
    ) as rig:
        await rig.moves.until("ack 2")
    assert rig.lot.letters["2"].parked.position == "1"


# What cannot be read


async def test_an_unreadable_event_is_parked_and_acked_in_its_turn() -> None:
    gates = Gates()
    source = PositionedSource(*events_of("a", "b", "c"), unreadable="2")
    async with pumping(source, gates) as rig:
        await rig.moves.until("put position:at-1")
        await rig.heartbeats.more(2)
        assert rig.acks == []
        gates.open("1", "3")
        await rig.moves.until("ack 3")
    assert rig.acks == ["ack 1", "ack 2", "ack 3"]
    letter = rig.lot.letters["position:at-1"]
    assert (letter.standing, letter.parked.position, letter.parked.event) == ("dead", "at-1", None)
    assert letter.parked.source_id == "at-1"
    assert letter.parked.errors[0].startswith("InvalidEvent: payments, position at-1: not a readable event: ")
    assert "begin 2" not in rig.moves.entries


async def test_an_unreadable_event_is_parked_by_exactly_one_shard() -> None:
    parked: list[str] = []
    for shard in shards(3):
        source = PositionedSource(*events_of("a", "b", "c"), unreadable="2")
        async with pumping(source, shard=shard) as rig:
            await rig.moves.until("ack 3")
        parked.extend(rig.lot.letters)
    assert parked == ["position:at-1"]


async def test_an_unreadable_event_is_not_taken_for_another_whose_id_is_its_position() -> None:
    lot = Lot()
    for events, unreadable in ((events_of("a", "b"), None), (events_of("a", "b", "c"), "2")):
        source = PositionedSource(*events, unreadable=unreadable, prefix="")
        handle = poisoned("a")
        async with pumping(source, handle, lot=lot, max_attempts=1) as rig:
            await rig.moves.until(f"ack {len(events)}")
    assert len(lot.letters) == 2


async def test_an_unreadable_event_without_a_position_is_not_lost() -> None:
    source = PositionedSource(*events_of("a", "b"), unreadable="1", prefix=None)
    async with pumping(source) as rig:
        await rig.moves.until("end 2")
        await rig.stop()
    assert rig.lot.letters


class PositionedSource(WatchedSource):
    """Tells the index of its events, and cannot read one of them, of which it says `at-<index>`."""

    def __init__(
        self, *events: ConnectorEvent, unreadable: str | None = None, prefix: str | None = "at-"
    ) -> None:
        super().__init__(*events)
        self.unreadable = unreadable
        self.prefix = prefix

    async def make(self, consumer_name: str) -> ConnectorConsumer:
        return PositionedConsumer(self, await super().make(consumer_name))


class PositionedConsumer:
    def __init__(self, source: PositionedSource, consumer: ConnectorConsumer) -> None:
        self._source = source
        self._consumer = consumer
        self._received = -1

    @property
    def position(self) -> str:
        return str(self._received)

    async def recv(self) -> tuple[ConnectorEvent, Ack]:
        event, ack = await self._consumer.recv()
        self._received += 1
        if event.id == self._source.unreadable:
            prefix = self._source.prefix
            at = "" if prefix is None else f"{prefix}{self._received}"
            raise InvalidEvent("payments", at, "no ID", ack=ack)
        return event, ack

    async def close(self) -> None:
        await self._consumer.close()
