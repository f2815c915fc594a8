"""Requirements on integer arguments, taken out of the graph.

Enters: a graph with `bounded` nodes. Leaves: the graph without them, and what each argument must
satisfy. Always holds: a requirement that cannot be checked before the step begins is an error,
never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dtypes import is_integer, limits
from ..errors import GradcError, UnsupportedError, fail
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from .rewrite import Rewriter


@dataclass(frozen=True)
class InputCheck:
    """Every element of the argument at this position must satisfy lower <= x < upper."""

    argument: int
    lower: int
    upper: int


def extract_checks(graph: Graph, leaves: int) -> tuple[Graph, tuple[InputCheck, ...]]:
    """Strip the `bounded` nodes; the first `leaves` inputs are state, the others arguments."""
    checks: set[InputCheck] = set()
    rewriter = Rewriter(graph)

    def visit(node: Node, args: tuple[int, ...]) -> int:
        requires = OPS[node.op].requires
        if requires is None:
            return rewriter.copy(node, args)
        origin = _origin(graph, node)
        position = graph.inputs.index(origin.id) - leaves
        if position < 0:
            raise _not_an_argument(node, "part of the state")
        least, greatest = limits(origin.dtype)
        lower, upper = requires(node.attrs)
        if lower > least or upper <= greatest:  # else no integer of this dtype is outside
            checks.add(InputCheck(position, lower, upper))
        return args[0]

    rebuilt = rewriter.run(visit)
    return rebuilt, tuple(sorted(checks, key=lambda c: (c.argument, c.lower, c.upper)))


def _origin(graph: Graph, bounded: Node) -> Node:
    """The argument whose elements, all of them, a `bounded` node is about."""
    node = graph[bounded.args[0]]
    while _shows_all_of_its_argument(graph, node):
        node = graph[node.args[0]]
    if node.kind is Kind.INPUT:
        return node
    raise _not_an_argument(bounded, f"the result of `{node.op}`")


def _shows_all_of_its_argument(graph: Graph, node: Node) -> bool:
    """Whether the integers in a node are those of its argument, all of them."""
    row = OPS[node.op]
    if row.converts:
        return is_integer(node.dtype) and is_integer(graph[node.args[0]].dtype)
    return row.marker or row.whole


def _not_an_argument(bounded: Node, what: str) -> GradcError:
    return fail(
        UnsupportedError,
        "GC310",
        f"class labels must be an argument of the compiled function, not {what}:"
        " they are checked before the step begins",
        span=bounded.span,
        helps=("compute the labels in Python and pass them in",),
    )
