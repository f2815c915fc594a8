"""Names and descriptions in the generated C, from the user's names and the graph's structure.

Enters: a graph, its groups and what is stored. Leaves: an identifier for each value and kernel, and
the comments above a kernel. Always holds: an identifier is valid C and says what the value is: the
user's own name where there is one, else the layer it comes from and the operation (`fc1_relu`,
`d_fc1_relu`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..dtypes import short
from ..graph import Graph, Node
from ..ops.table import Kind
from ..passes.domain import compute_args
from ..passes.fuse import Group
from .pointwise import identifier

INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "less": "<", "less_equal": "<=",
    "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip
MARKERS = frozenset({"identity", "stop_gradient", "bounded"})
SILENT = frozenset({"add", "sub", "mul", "div", "cast", "to_integer", "where", "dot"}) | MARKERS
LONGEST_NAME = 28
LONGEST_FORMULA = 96
MOST_STEPS = 40


class KernelNames:
    """Names for one entry point's graph.

    `updates` maps new values of the state to their names there, `results` outputs to theirs.
    """

    def __init__(
        self,
        graph: Graph,
        groups: Iterable[Group],
        updates: dict[int, str],
        results: dict[int, str],
        scalars: frozenset[int],
    ) -> None:
        self.graph = graph
        self.updates = updates
        self.scalars = scalars
        self.stored = {i for g in groups for i in g.stored}
        self.bases = derive_names(graph, {**updates, **results})

    def is_stored(self, node_id: int) -> bool:
        return node_id in self.stored

    def by_value(self, node_id: int) -> bool:
        """Whether an input is a scalar that the entry point takes by value."""
        return node_id in self.scalars

    def value(self, node_id: int) -> str:
        """The identifier of a stored value."""
        return self.bases[node_id]

    def kernel(self, group: Group) -> str:
        """The function's name: the phase of the step and what it makes."""
        updated = [i for i in group.stored if i in self.updates]
        others = [i for i in group.stored if i not in self.updates]
        forward = [self.bases[i] for i in others if self.graph[i].of is None]
        backward = [self.bases[i] for i in others if self.graph[i].of is not None]
        parts = [*forward[:1], *backward[:1], *(self.bases[i] for i in updated[-1:])]
        phases = (("forward", forward), ("backward", backward), ("update", updated))
        present = [phase for phase, found in phases if found]
        return "_and_".join(parts) if len(present) > 1 else f"{present[0]}_{parts[0]}"

    def title(self, group: Group) -> str:
        """The first line of the comment: what is made, and from which lines of the model."""
        made = ", ".join(
            f"{self.bases[i]} {short(self.graph[i].dtype, self.graph[i].shape)}"
            for i in group.stored
        )
        spans = [s for i in group.nodes if (s := self.graph[i].span) is not None]
        where = ", ".join(dict.fromkeys(s.short for s in spans))
        gradient = any(self.graph[i].of is not None for i in group.nodes)
        return f"{made}{'; gradient of ' if gradient and where else '; ' if where else ''}{where}"

    def notes(self, group: Group) -> tuple[str, ...]:
        """The mathematics: one formula per stored value, or step by step where that is too long."""
        members = set(self._computed(group))
        lines = []
        for i in group.stored:
            text = f"{self.bases[i]} = {self._formula(i, members, self.bases, top=True)}"
            if len(text) > LONGEST_FORMULA:
                return self._steps(group)
            lines.append(text)
        return ("\n".join(lines),)

    def _computed(self, group: Group) -> list[int]:
        """The nodes of a group, and the cheap scalars that it computes for itself."""
        found, stack = set(group.nodes), list(group.nodes)
        while stack:
            for a, _ in compute_args(self.graph, self.graph[stack.pop()]):
                own = self.graph[a].kind is not Kind.SOURCE and a not in self.stored
                if own and a not in found:
                    found.add(a)
                    stack.append(a)
        return sorted(found)

    def _steps(self, group: Group) -> tuple[str, ...]:
        names, used = {}, {self.bases[i] for i in self.stored}
        nodes = self._computed(group)
        for i in nodes:
            name, count = self.graph[i].op, 2
            while name in used:
                name, count = f"{self.graph[i].op}_{count}", count + 1
            names[i] = self.bases[i] if i in self.stored else name
            used.add(names[i])
        lines = []
        for i in nodes[:MOST_STEPS]:
            lines.append(f"{names[i]} = {self._formula(i, set(), names, top=True)}")
        if len(nodes) > MOST_STEPS:
            lines.append(f"... {len(nodes) - MOST_STEPS} more")
        return ("\n".join(lines),)

    def _formula(
        self, node_id: int, expand: set[int], names: Mapping[int, str], top: bool = False
    ) -> str:
        """A node in the user's notation; nodes of `expand` are spelt out, others named."""
        node = self.graph[node_id]
        if not top and node_id not in expand and node.kind is not Kind.MOVEMENT:
            if node.op == "const" and node.size == 1:
                return f"{float(node.attrs['value'].item()):g}"
            if node.op == "iota":
                return "position"
            return names.get(node_id, self.bases[node_id])
        args = [self._formula(a, expand, names) for a in node.args]
        if node.op in ("broadcast", "reshape", "identity", "stop_gradient", "cast", "to_integer"):
            return args[0]
        if node.op == "transpose":
            return f"{args[0]}.T"
        if node.op == "slice":
            return f"{args[0]}[{_ranges(self.graph, node)}]"
        if node.op == "dot":
            left, right = (self._factor(node, side, args[side]) for side in (0, 1))
            text = f"{left} @ {right}"
        elif node.op == "neg":
            text = f"-{args[0]}"
        elif node.op in INFIX:
            text = f"{args[0]} {INFIX[node.op]} {args[1]}"
        else:
            return f"{node.op}({', '.join(_bare(a) for a in args)})"
        return text if top else f"({text})"

    def _factor(self, node: Node, side: int, text: str) -> str:
        """An operand of a product, with `.T` where its contracted axis is not the usual one."""
        contract = node.attrs["contract"][side]
        rank = len(self.graph[node.args[side]].shape)
        usual = rank - 1 if side == 0 else max(rank - 2, 0)
        if contract == (usual,):
            return text
        return text[:-2] if text.endswith(".T") else f"{text}.T"


def _ranges(graph: Graph, node: Node) -> str:
    """A slice in Python's notation, one range an axis."""
    texts = []
    rows = zip(node.attrs["start"], node.attrs["step"], node.shape, strict=True)
    for extent, (start, step, n) in zip(graph[node.args[0]].shape, rows, strict=True):
        stop = start + step * (n - 1) + 1
        whole = (start, stop, step) == (0, extent, 1)
        skip = f":{step}" if step != 1 else ""
        texts.append(":" if whole else str(start) if n == 1 else f"{start}:{stop}{skip}")
    return ", ".join(texts)


def _bare(text: str) -> str:
    """Without a pair of parentheses around the whole."""
    if not text.startswith("("):
        return text
    depth = 0
    for k, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[1:-1] if k == len(text) - 1 else text
    return text


def derive_names(graph: Graph, given: Mapping[int, str]) -> dict[int, str]:
    """An identifier for every node, in order, so that a name can build on those before it."""
    bases: dict[int, str] = {}
    for node in graph:
        if node.id in given:
            bases[node.id] = identifier(given[node.id])
        elif node.name:
            bases[node.id] = identifier(node.name)
        elif node.kind is Kind.SOURCE:
            bases[node.id] = f"{node.op}_{node.id}"
        else:
            bases[node.id] = _derived(graph, node, bases)
    return bases


def _derived(graph: Graph, node: Node, bases: dict[int, str]) -> str:
    """A name from the operation and what it works on."""
    if node.of is not None and node.of in graph.nodes:
        return f"d_{bases[node.of]}" if node.of < node.id else f"d_{node.op}"
    layer = None
    for a, _ in compute_args(graph, node):
        found = graph[a]
        while found.op in MARKERS:
            found = graph[found.args[0]]
        if found.op == "input" and found.name and "." in found.name:
            layer = layer or identifier(found.name.rsplit(".", 1)[0])
    if node.kind is Kind.CONTRACTION and layer:
        return layer
    producers = sorted(a for a, _ in compute_args(graph, node) if graph[a].kind is not Kind.SOURCE)
    base = bases[producers[-1]] if producers else layer or ""
    if node.op in SILENT and base:
        return base
    name = f"{base}_{node.op}" if base else node.op
    return name if len(name) <= LONGEST_NAME else node.op
