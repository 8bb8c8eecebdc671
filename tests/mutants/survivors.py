"""The survivors that are known, each with the reason why no test catches it."""

import tomllib
from pathlib import Path

from tests.mutants.mutants import Change

SURVIVORS = Path(__file__).with_name("survivors.toml")


def read_survivors(path: Path = SURVIVORS) -> dict[Change, str]:
    """The reason for each known survivor.

    Raises:
        ValueError: an entry has no reason, or there is another one for the same change.
    """
    reasons: dict[Change, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", []):
        reason = entry.pop("reason", "").strip()
        change = Change(**entry)
        if not reason or change in reasons:
            raise ValueError(f"{path.name}: {change} has no reason, or two of them")
        reasons[change] = reason
    return reasons
