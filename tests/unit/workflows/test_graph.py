"""What a graph knows of the ways between its statuses."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumphouse.workflows.graph import EdgeKind, Graph

STATUSES = "ABCDEFGH"


@dataclass(frozen=True)
class Edge:
    kind: EdgeKind
    origin: str
    targets: list[str]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, list[Edge]]:
    """A graph, and the edges that it was made of."""
    statuses = list(STATUSES[: draw(st.integers(1, len(STATUSES)))])
    status = st.sampled_from(statuses)
    edges = draw(
        st.lists(
            st.builds(Edge, st.sampled_from(EdgeKind), status, st.lists(status, max_size=3)), max_size=12
        )
    )
    graph = Graph(statuses, draw(status))
    for edge in edges:
        graph.add(edge.kind, edge.origin, edge.targets)
    return graph, edges


def naive_closure(start: str, edges: list[Edge]) -> set[str]:
    """All that can be reached, by going through every edge until nothing new comes of it."""
    reached = {start}
    while True:
        further = {target for edge in edges if edge.origin in reached for target in edge.targets}
        if further <= reached:
            return reached
        reached |= further


@given(drawn=graphs())
def test_unreachable_is_what_no_path_leads_to_in_order_of_declaration(
    drawn: tuple[Graph, list[Edge]],
) -> None:
    graph, edges = drawn
    reachable = naive_closure(graph.start, edges)
    assert graph.unreachable() == [status for status in graph.statuses if status not in reachable]


@given(drawn=graphs())
def test_a_status_is_terminal_exactly_when_no_edge_leads_on_from_it(drawn: tuple[Graph, list[Edge]]) -> None:
    graph, edges = drawn
    left = {edge.origin for edge in edges if edge.targets}
    assert [status for status in graph.statuses if graph.is_terminal(status)] == [
        status for status in graph.statuses if status not in left
    ]


def test_a_graph_without_edges_reaches_its_start_only() -> None:
    graph = Graph(["A", "B", "C"], "B")
    assert graph.unreachable() == ["A", "C"]
    assert graph.is_terminal("B")


def test_a_circle_is_reachable_and_has_no_end() -> None:
    graph = Graph(["A", "B"], "A")
    graph.add(EdgeKind.STEP, "A", ["B"])
    graph.add(EdgeKind.STEP, "B", ["A"])
    assert graph.unreachable() == []
    assert not graph.is_terminal("B")


@pytest.mark.parametrize("kind", EdgeKind)
def test_every_kind_of_edge_leads_on(kind: EdgeKind) -> None:
    graph = Graph(["A", "B"], "A")
    graph.add(kind, "A", ["B"])
    assert graph.unreachable() == []
    assert not graph.is_terminal("A")


def test_a_status_that_leads_to_itself_is_not_terminal() -> None:
    graph = Graph(["A"], "A")
    graph.add(EdgeKind.STEP, "A", ["A"])
    assert not graph.is_terminal("A")


def test_targets_are_told_by_kind_in_order_of_declaration_and_once() -> None:
    graph = Graph(list("ABCD"), "A")
    graph.add(EdgeKind.EXTERNAL, "A", ["C", "B"])
    graph.add(EdgeKind.STEP, "A", ["D"])
    graph.add(EdgeKind.EXTERNAL, "A", ["B", "D", "C"])
    assert graph.targets("A", EdgeKind.EXTERNAL) == ["C", "B", "D"]
    assert graph.targets("A", EdgeKind.STEP) == ["D"]


def test_a_target_that_one_call_names_twice_is_told_once() -> None:
    graph = Graph(["A", "B"], "A")
    graph.add(EdgeKind.STEP, "A", ["B", "B"])
    assert graph.targets("A", EdgeKind.STEP) == ["B"]


def test_a_status_without_edges_has_no_targets() -> None:
    assert Graph(["A"], "A").targets("A", EdgeKind.STEP) == []


def test_what_is_done_to_the_targets_told_does_not_change_the_graph() -> None:
    graph = Graph(["A", "B"], "A")
    graph.add(EdgeKind.STEP, "A", ["B"])
    graph.targets("A", EdgeKind.STEP).clear()
    assert graph.targets("A", EdgeKind.STEP) == ["B"]


def test_two_graphs_share_no_edges() -> None:
    one, other = Graph(["A", "B"], "A"), Graph(["A", "B"], "A")
    one.add(EdgeKind.STEP, "A", ["B"])
    assert other.is_terminal("A")
