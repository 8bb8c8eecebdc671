"""The statuses of a definition and the changes between them, apart from any function."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class EdgeKind(Enum):
    """What makes a change of status."""

    STEP = "step"  #: the answer of a step
    EXTERNAL = "external"  #: `update_status`


@dataclass
class Graph:
    """Which status may follow which, and what makes the change; statuses by their Enum name."""

    statuses: list[str]
    start: str
    _edges: dict[str, dict[EdgeKind, list[str]]] = field(default_factory=dict[str, dict[EdgeKind, list[str]]])

    def add(self, kind: EdgeKind, origin: str, targets: list[str]) -> None:
        """Allow the changes from `origin` to each of the targets."""
        known = self._edges.setdefault(origin, {}).setdefault(kind, [])
        known.extend(target for target in dict.fromkeys(targets) if target not in known)

    def targets(self, origin: str, kind: EdgeKind) -> list[str]:
        """Where a change of that kind may lead from `origin`, in order of declaration."""
        return list(self._edges.get(origin, {}).get(kind, []))

    def is_terminal(self, status: str) -> bool:
        """Whether nothing leads on from the status, so that a run ends there."""
        return not any(self._edges.get(status, {}).values())

    def unreachable(self) -> list[str]:
        """The statuses that no path from the start leads to, in order of declaration."""
        reached = {self.start}
        ahead = deque(reached)
        while ahead:
            for targets in self._edges.get(ahead.popleft(), {}).values():
                new = [target for target in targets if target not in reached]
                reached.update(new)
                ahead.extend(new)
        return [status for status in self.statuses if status not in reached]
