"""Changes that mutmut does not know: each is a fault that a promise of ours would be broken by.

mutmut changes what is written: numbers, texts, arguments, assignments, comparisons. What it leaves alone is
whether a call, an answer or an error happens at all, which way a condition goes, and which end of a queue is
taken.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import libcst as cst
from libcst import matchers as m

_OTHER_ENDS = {"append": "appendleft", "popleft": "pop"}

_IS_LEFT_OUT = m.OneOf(
    m.Expr(m.OneOf(m.Call(), m.Await(m.Call()))), m.Raise(), m.Return(value=m.DoNotCare()), m.Del()
)

_HAS_ITS_OPPOSITE = m.OneOf(
    m.Name("True"),
    m.UnaryOperation(m.Not()),
    m.Comparison(
        comparisons=[
            m.ComparisonTarget(m.OneOf(m.Equal(), m.NotEqual(), m.Is(), m.IsNot(), m.In(), m.NotIn()))
        ]
    ),
)
"""Conditions that mutmut turns round itself."""


def left_out(line: cst.SimpleStatementLine) -> Iterable[cst.SimpleStatementLine]:
    """Leave a call, an answer or an error out; assignments become `None` with mutmut already."""
    if len(line.body) == 1 and m.matches(line.body[0], _IS_LEFT_OUT):
        yield line.with_changes(body=[cst.Pass()])


def turned_round(branch: cst.If | cst.While) -> Iterable[cst.If | cst.While]:
    """Go the other way at a condition."""
    if not m.matches(branch.test, _HAS_ITS_OPPOSITE):
        condition = branch.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield branch.with_changes(test=cst.UnaryOperation(cst.Not(), condition))


def at_the_other_end(call: cst.Call) -> Iterable[cst.Call]:
    """Take from the other end of a queue, or put there."""
    if isinstance(call.func, cst.Attribute) and (other := _OTHER_ENDS.get(call.func.attr.value)):
        yield call.with_changes(func=call.func.with_changes(attr=cst.Name(other)))


OPERATORS: Sequence[tuple[type, Callable[[Any], Iterable[cst.CSTNode]]]] = [
    (cst.SimpleStatementLine, left_out),
    (cst.If, turned_round),
    (cst.While, turned_round),
    (cst.Call, at_the_other_end),
]
"""The kinds of nodes, and what is done to them, as mutmut lists its own."""
