"""Which shard of a connector an event belongs to."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """One of the `count` parts into which a connector's foreign IDs are split."""

    index: int
    """From 0 on."""
    count: int

    def takes(self, foreign_id: str) -> bool:
        """Whether the foreign ID belongs to this shard; it belongs to exactly one of the count.

        The hash is a promise: another one would move foreign IDs between the shards of a live connector.
        """
        digest = hashlib.blake2b(foreign_id.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index

    def __str__(self) -> str:
        """As people count: `1-of-3` is the first of three."""
        return f"{self.index + 1}-of-{self.count}"


def shards(count: int) -> list[Shard]:
    """All the shards of a connector."""
    return [Shard(index, count) for index in range(count)]
