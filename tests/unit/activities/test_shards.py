import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pumphouse.activities.shards import Shard, shards

counts = st.integers(1, 16)
foreign_ids = st.one_of(
    st.text(min_size=1),
    st.text(alphabet="\x00\x7f\u00e9\u4e2d\U0001f6b2\U0010ffff", min_size=1, max_size=8),
    st.text(min_size=1, max_size=3).map(lambda part: (part * 1000)[:1000]),
)


def shards_of(foreign_id: str, count: int) -> list[int]:
    """The shards that take a foreign ID: there ought to be one."""
    return [shard.index for shard in shards(count) if shard.takes(foreign_id)]


def is_negative_as_signed(foreign_id: str) -> bool:
    digest = hashlib.blake2b(foreign_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) < 0


@given(foreign_ids, counts)
@example("\x00", 16)
@example("\U0001f6b2", 16)
@example("x" * 1000, 16)
def test_a_foreign_id_belongs_to_exactly_one_shard(foreign_id: str, count: int) -> None:
    assert len(shards_of(foreign_id, count)) == 1


@given(foreign_ids.filter(is_negative_as_signed), counts)
@example("a\x00b", 3)
def test_a_hash_that_is_negative_as_signed_belongs_to_exactly_one_shard(foreign_id: str, count: int) -> None:
    assert len(shards_of(foreign_id, count)) == 1


@pytest.mark.parametrize(
    ("foreign_id", "hashed"),
    [
        ("order-1", 2709196713320186429),
        ("ü", 6192904641445441335),
        ("a\x00b", 18429100309458631331),
        ("🚲", 15897417888619654770),
        ("x" * 1000, 11110498518154184215),
    ],
)
def test_the_hash_is_the_one_that_live_connectors_were_sharded_by(foreign_id: str, hashed: int) -> None:
    """Never change these numbers: foreign IDs would move between shards, and lose their order."""
    for count in (2, 3, 7, 16, 1009):
        assert shards_of(foreign_id, count) == [hashed % count]


@pytest.mark.parametrize("count", range(1, 17))
def test_the_shards_get_nearly_equal_parts(count: int) -> None:
    taken = [sum(shard.takes(f"order-{number}") for number in range(5000)) for shard in shards(count)]
    assert sum(taken) == 5000
    assert min(taken) > 0.75 * 5000 / count
    assert max(taken) < 1.25 * 5000 / count


def test_a_shard_is_written_as_people_count() -> None:
    assert [str(shard) for shard in shards(3)] == ["1-of-3", "2-of-3", "3-of-3"]


def test_the_shards_of_a_count_are_numbered_from_zero() -> None:
    assert shards(2) == [Shard(0, 2), Shard(1, 2)]
