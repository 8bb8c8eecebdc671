"""A schedule can be had again, and made smaller."""

from tests.simulation.broken import BREAKS
from tests.simulation.campaign import find
from tests.simulation.choices import Choices
from tests.simulation.ledger import Promise
from tests.simulation.schedule import simulate
from tests.simulation.shrink import minimize, shrink
from tests.simulation.virtual import virtual

SEEDS = range(40)
WRONG = next(each for each in BREAKS if each.promise is Promise.ORDER)


def test_a_seed_replays_exactly() -> None:
    with virtual():
        for seed in SEEDS:
            first, second = list[str](), list[str]()
            one, other = Choices(seed), Choices(seed)
            assert simulate(one, first) == simulate(other, second)
            assert (one.made, first) == (other.made, second)


def test_the_choices_of_a_seed_make_the_same_schedule() -> None:
    with virtual():
        for seed in SEEDS:
            seeded, replayed = list[str](), list[str]()
            choices = Choices(seed)
            simulate(choices, seeded)
            simulate(Choices(replayed=choices.made), replayed)
            assert seeded == replayed


def test_a_failing_schedule_gets_smaller_and_still_fails() -> None:
    with WRONG.broken():
        seed = find(WRONG.promise, range(3_000))
        assert seed is not None
        with virtual():
            choices = Choices(seed)
            simulate(choices)
            smaller = shrink(choices.made, WRONG.promise, max_tries=400)
            violations = simulate(Choices(replayed=smaller))
    assert len(smaller) < len(choices.made) // 2
    assert WRONG.promise in {violation.promise for violation in violations}


def test_the_smallest_failing_list_is_found() -> None:
    assert minimize([3, 0, 7, 1, 9, 4, 0, 2], lambda choices: sum(choices) >= 5) == [5]
