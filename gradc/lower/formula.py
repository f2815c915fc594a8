"""The mathematics of a kernel, for the comment above it.

Enters: a graph, the nodes that a kernel stores, and what its code calls them and others. Leaves:
one formula for each stored value in the notation of the op rows, and those of the values that they
share. Always holds: a name that is written is one of the code's; a node is written once a formula
and none outgrows two lines, so the work is linear in the number of nodes, however often they share
one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..graph import Graph, Node
from ..index import Shape
from ..ops.notation import Level, Term
from ..ops.table import OPS, Kind

LONGEST = 180
MOST_SHARED = 12
Names = Mapping[int, str]


def description(graph: Graph, stored: Sequence[int], values: Names, shared: Names) -> str:
    """A line for each stored node, in terms of the `values` in memory and of `shared` locals, which
    are then explained; what would need too many words is only named.
    """
    known = [i for i in stored if i in graph.nodes]
    found = _Formulas(graph, {**shared, **values}, _pillars(graph, known, values, shared))
    lines = [found.line(i) for i in stored]
    explained = found.explanations(set(values))
    if explained is None:
        simple = _Formulas(graph, values, frozenset(values))
        lines, explained = [simple.line(i) for i in stored], []
    named = [values[i] for i, line in zip(stored, lines, strict=True) if line is None]
    text = [line for line in lines if line is not None]
    if named:
        text.insert(0, ", ".join(dict.fromkeys(named)))
    text += [f"{'with' if k == 0 else '    '} {line}" for k, line in enumerate(explained)]
    return "\n".join(text)


def places(graph: Graph, nodes: Iterable[int]) -> str:
    """The lines of the user's source that nodes come from: `mnist.py:28, 34`."""
    lines: dict[str, dict[str, None]] = {}
    for i in nodes:
        span = graph[i].span if i in graph.nodes else None
        if span is not None:
            file, _, line = span.short.rpartition(":")
            lines.setdefault(file, {})[line] = None
    return ", ".join(f"{file}:{', '.join(numbers)}" for file, numbers in lines.items())


def _pillars(graph: Graph, stored: Sequence[int], values: Names, shared: Names) -> frozenset[int]:
    """The nodes at which a formula stops: those in memory, folds, and what is read repeatedly."""
    times: dict[int, int] = {}
    seen, stack = set(stored), list(stored)
    while stack:
        for a in graph[stack.pop()].args:
            times[a] = times.get(a, 0) + 1
            if a not in seen and a not in values:
                seen.add(a)
                stack.append(a)
    return frozenset(values) | {
        i for i in shared if times.get(i, 0) > 1 or graph[i].kind is Kind.REDUCTION or graph[i].name
    }


class _Formulas:
    def __init__(self, graph: Graph, names: Names, pillars: Collection[int]) -> None:
        self.graph = graph
        self.names = names
        self.pillars = pillars
        self.met: dict[int, None] = {}

    def line(self, node_id: int) -> str | None:
        """`name = formula`; None if that is too long, or not known."""
        if node_id not in self.graph.nodes:
            return None
        term = formula(self.graph, node_id, self.names, self.pillars)
        if term is None:
            return None
        self.met.update(dict.fromkeys(_stops(self.graph, node_id, self.pillars)))
        return f"{self.names[node_id]} = {term.whole}"

    def explanations(self, given: Collection[int]) -> list[str] | None:
        """The formulas of all names that have been met, but those `given`; None if too many."""
        lines: dict[int, str] = {}
        waiting = [i for i in self.met if i not in given]
        while waiting:
            i = waiting.pop()
            if i in lines:
                continue
            line = self.line(i)
            if line is None or len(lines) == MOST_SHARED:
                return None
            lines[i] = line
            waiting += [m for m in self.met if m not in given and m not in lines]
        return [lines[i] for i in sorted(lines)]


def _stops(graph: Graph, node_id: int, pillars: Collection[int]) -> list[int]:
    """The pillars that the formula of a node ends in."""
    found: list[int] = []
    seen, stack = {node_id}, [node_id]
    while stack:
        for a in graph[stack.pop()].args:
            if a in pillars:
                found.append(a)
            elif a not in seen:
                seen.add(a)
                stack.append(a)
    return found


def formula(
    graph: Graph, node_id: int, names: Names, pillars: Collection[int], longest: int = LONGEST
) -> Term | None:
    """A node, written out down to the `pillars`; None if that takes more than `longest` letters."""
    written, stack = {node_id}, [node_id]
    while stack:
        for a in graph[stack.pop()].args:
            if a not in written and a not in pillars and not graph[a].kind.is_source:
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
    if notation is not None:
        return notation(operands, shapes, node.shape, node.attrs)
    texts = [term.whole for term in operands]
    if node.kind is Kind.REDUCTION and len(node.attrs["axes"]) < len(shapes[0]):
        axes = node.attrs["axes"]
        texts.append(f"axis={axes[0] if len(axes) == 1 else axes}")
    return Term(f"{node.op}({', '.join(texts)})")


def _named(node: Node, names: Names) -> Term:
    if node.kind is Kind.CONSTANT and node.size == 1:
        text = f"{float(node.attrs['value'].item()):g}"
        return Term(text, Level.SIGN if text.startswith("-") else Level.WHOLE)
    return Term(f"arange({node.size})" if node.kind is Kind.COUNTER else names[node.id])
