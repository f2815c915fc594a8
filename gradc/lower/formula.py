"""The mathematics of a kernel, for the comment above it.

Enters: a graph, what is stored, the names of values. Leaves: one formula for each value that the
kernel stores, in the notation of the op rows, or its steps where a formula would be too long.
Always holds: a node is written once and no text outgrows a line, so the work is linear in the
number of nodes, however often they share one another.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ..graph import Graph, Node
from ..index import Shape
from ..ops.notation import Term
from ..ops.table import OPS, Kind

LONGEST_FORMULA = 96
LONGEST_STEP = 4 * LONGEST_FORMULA
MOST_STEPS = 40


def formulas(
    graph: Graph, computed: Collection[int], stored: Collection[int], names: Mapping[int, str]
) -> str | None:
    """A line for each node of `stored`, down to what is not among `computed`; None if too long."""
    lines = []
    for i in stored:
        term = formula(graph, i, computed, names, LONGEST_FORMULA)
        if term is None:
            return None
        lines.append(f"{names[i]} = {term.whole}")
    return "\n".join(lines) if max(map(len, lines)) <= LONGEST_FORMULA else None


def steps(
    graph: Graph, computed: Sequence[int], stored: Collection[int], names: Mapping[int, str]
) -> str:
    """A line for each of the `computed` nodes, of which those of `stored` have names of their own.

    The others are called after their ops, unlike anything that is stored.
    """
    used, count = {names[i] for i in stored}, dict[str, int]()
    own = dict(names)
    for i in computed:
        if i in stored:
            continue
        op = graph[i].op
        name = op
        while name in used:
            count[op] = count.get(op, 1) + 1
            name = f"{op}_{count[op]}"
        own[i] = name
        used.add(name)
    lines = []
    for i in computed[:MOST_STEPS]:
        term = formula(graph, i, (), own, LONGEST_STEP)
        lines.append(f"{own[i]} = {term.whole if term else f'{graph[i].op}(...)'}")
    if len(computed) > MOST_STEPS:
        lines.append(f"... {len(computed) - MOST_STEPS} more")
    return "\n".join(lines)


def formula(
    graph: Graph, node_id: int, spelt: Collection[int], names: Mapping[int, str], longest: int
) -> Term | None:
    """A node in terms of its operands; those of `spelt`, and movements, are written out.

    None if that takes more than `longest` characters.
    """
    written, stack = {node_id}, [node_id]
    while stack:
        for a in graph[stack.pop()].args:
            if a not in written and (a in spelt or graph[a].kind is Kind.MOVEMENT):
                written.add(a)
                stack.append(a)
    terms: dict[int, Term] = {}
    for i in sorted(written):
        args = graph.args(graph[i])
        operands = [terms[a.id] if a.id in written else _named(a, names) for a in args]
        term = _written(graph[i], operands, [a.shape for a in args])
        if len(term.text) > longest:
            return None
        terms[i] = term
    return terms[node_id]


def _written(node: Node, operands: Sequence[Term], shapes: Sequence[Shape]) -> Term:
    notation = OPS[node.op].notation
    if notation is None:
        return Term(f"{node.op}({', '.join(term.whole for term in operands)})")
    return notation(operands, shapes, node.shape, node.attrs)


def _named(node: Node, names: Mapping[int, str]) -> Term:
    if node.kind is Kind.CONSTANT and node.size == 1:
        return Term(f"{float(node.attrs['value'].item()):g}")
    return Term("position" if node.kind is Kind.COUNTER else names[node.id])
