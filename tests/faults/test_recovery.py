from tests.faults.made_up import acked, handling
from tests.faults.recovery import Recovery, held, late, recoveries

OLD, NEW = 1, 2


def test_a_shard_has_recovered_with_the_first_ack_of_somebody_else() -> None:
    entries = [acked(10.0, OLD), acked(11.5, NEW), acked(12.0, NEW)]
    assert recoveries(entries, OLD, 10.0) == [Recovery("1-of-2", 1.5)]


def test_acks_of_the_stopped_process_itself_are_no_recovery() -> None:
    assert recoveries([acked(10.0, OLD), acked(10.5, OLD)], OLD, 10.0) == [Recovery("1-of-2", None)]


def test_each_shard_recovers_on_its_own() -> None:
    entries = [
        acked(9.0, OLD, "1-of-2"),
        acked(9.5, OLD, "2-of-2"),
        acked(11.0, NEW, "2-of-2"),
        acked(14.0, NEW, "1-of-2"),
    ]
    assert recoveries(entries, OLD, 10.0) == [Recovery("1-of-2", 4.0), Recovery("2-of-2", 1.0)]


def test_a_process_holds_the_shards_that_it_has_acked_last() -> None:
    entries = [acked(9.0, OLD, "1-of-2"), acked(9.0, OLD, "2-of-2"), acked(9.5, NEW, "1-of-2")]
    assert held(entries, OLD, 10.0) == ["2-of-2"]


def test_acks_of_long_before_and_of_later_do_not_hold_a_shard() -> None:
    assert held([acked(1.0, OLD), acked(11.0, OLD), handling(1, "1-of-2", 9.9, OLD)], OLD, 10.0) == []


def test_a_shard_that_came_back_too_late_or_never_is_a_violation() -> None:
    found = [Recovery("1-of-3", 2.0), Recovery("2-of-3", 2.1), Recovery("3-of-3", None)]
    assert [violation.what.split()[1] for violation in late(found, 2.0)] == ["2-of-3", "3-of-3"]
