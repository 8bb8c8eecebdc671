import libcst as cst
import pytest

from tests.mutants.operators import OPERATORS


def mutants_of(source: str) -> list[str]:
    """Every change that our operators make to a source."""
    module = cst.parse_module(source)
    found: list[str] = []

    class Finder(cst.CSTVisitor):
        def on_visit(self, node: cst.CSTNode) -> bool:
            for kind, operator in OPERATORS:
                if isinstance(node, kind):
                    found.extend(_code(module, node, mutant) for mutant in operator(node))
            return True

    module.visit(Finder())
    return found


def _code(module: cst.Module, node: cst.CSTNode, mutant: cst.CSTNode) -> str:
    changed = module.deep_replace(node, mutant)
    assert isinstance(changed, cst.Module)
    return changed.code


@pytest.mark.parametrize(
    "statement",
    ["acked.set()", "await ack()", "return event", "return", "raise Lost from error", "del ids[0]"],
)
def test_a_call_an_answer_and_an_error_are_left_out(statement: str) -> None:
    assert mutants_of(f"async def run():\n    {statement}\n") == ["async def run():\n    pass\n"]


@pytest.mark.parametrize("statement", ["'''A docstring.'''", "yield", "self.limit = 1", "count += 1", "pass"])
def test_what_mutmut_changes_itself_or_does_nothing_stays(statement: str) -> None:
    assert mutants_of(f"def run():\n    {statement}\n") == []


@pytest.mark.parametrize("word", ["if", "while"])
@pytest.mark.parametrize("condition", ["self.is_full", "a and b", "a > b", "found := find()"])
def test_a_condition_is_turned_round(word: str, condition: str) -> None:
    assert f"{word} not ({condition}):\n    pass\n" in mutants_of(f"{word} {condition}:\n    pass\n")


@pytest.mark.parametrize(
    "condition", ["True", "not found", "a == b", "a != b", "a is b", "a in b", "a not in b"]
)
def test_a_condition_that_mutmut_turns_round_is_not_turned_twice(condition: str) -> None:
    assert mutants_of(f"if {condition}:\n    pass\n") == []


def test_the_other_end_of_a_queue_is_taken() -> None:
    assert mutants_of("first = queue.popleft()\n") == ["first = queue.pop()\n"]
    assert "queue.appendleft(event)\n" in mutants_of("queue.append(event)\n")
