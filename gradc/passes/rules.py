"""What simplification is made of: a registry of rules, and the rewriter that applies them.

Enters: rules, registered by `simplify` and `integers` when they are imported. Leaves: `RULES` and
`Simplifier`. Always holds: a rule looks at a node about to be added, given as (op, argument ids,
attributes), and returns the id of what should stand there instead, or None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..dtypes import DType
from ..graph import Node, results_of
from ..ops.table import OPS, Kind
from .rewrite import Rewriter

Attrs = Mapping[str, Any]
Args = tuple[int, ...]
Rule = Callable[["Simplifier", str, Args, Attrs], int | None]

RULES: dict[str | Kind, list[Rule]] = defaultdict(list)
FOLD_LIMIT = 64
"""Elements up to which an operation on constants is carried out while compiling."""


def rule(*ops: str | Kind) -> Callable[[Rule], Rule]:
    """Register a rule for the named ops, or for all of a kind."""

    def register(function: Rule) -> Rule:
        for op in ops:
            RULES[op].append(function)
        return function

    return register


class Simplifier(Rewriter):
    """Rebuilds a graph with the rules applied to every node as it is added."""

    def make(
        self, op: str, args: Args, attrs: Attrs, name: str | None = None, clone: int = 0
    ) -> int:
        """Add a node, or what the first rule that matches makes of it."""
        if any(self.node(a).size == 0 for a in args) or 0 in attrs.get("shape", ()):
            return self._without_elements(op, args, attrs)
        folded = self._fold(op, args, attrs)
        if folded is not None:
            return folded
        row = OPS[op]
        if row.idle and row.idle(attrs, self.node(args[0]).shape):
            return args[0]
        for apply in (*RULES[op], *RULES[row.kind]):
            found = apply(self, op, args, attrs)
            if found is not None:
                if name:
                    self.builder.rename(found, name)
                return found
        return self.add(op, args, attrs, name=name, clone=clone)

    def visit(self, node: Node, args: Args) -> int:
        if node.kind.is_source or node.kind in (Kind.OWN, Kind.ITEM):
            return self.copy(node, args)
        made = self.make(node.op, args, node.attrs, node.name, node.clone)
        if node.of is not None and node.id in self.graph.outputs:
            return self._own_copy(node, made)
        return made

    def _own_copy(self, gradient: Node, made: int) -> int:
        """A gradient that comes to a copy of what is there already, as a node of its own.

        So it keeps the line that it is the gradient of. It has to be stored anyway.
        """
        found = self.node(made)
        if not gradient.size or not (found.kind.is_source or found.kind is Kind.MOVEMENT):
            return made
        if found.of is not None and found.span == gradient.span:
            return made
        return self.add("identity", (made,), name=gradient.name)

    def _without_elements(self, op: str, args: Args, attrs: Attrs) -> int:
        """What has no elements is a constant, and what is made of such holds only start values.

        So no later stage meets an array without elements, but as an input or an output.
        """
        nodes = [self.node(a) for a in args]
        (spec,) = results_of(op, nodes, attrs)
        if spec.size == 0:
            return self.add("const", (), {"value": np.zeros(spec.shape, spec.dtype)})
        row = OPS[op]
        if row.joins:
            return self.make(op, tuple(n.id for n in nodes if n.size), attrs)
        value = attrs.get("value", 0)  # of a pad; a sum of no products is 0
        if row.kind is Kind.REDUCTION:
            value = row.reference(np.zeros(0, nodes[0].dtype), axes=(0,))
        return self.filled(value, spec.shape, spec.dtype)

    def _fold(self, op: str, args: Args, attrs: Attrs) -> int | None:
        """An operation on small constants is a constant."""
        row, nodes = OPS[op], [self.node(a) for a in args]
        if (
            not nodes
            or any(n.kind is not Kind.CONSTANT for n in nodes)
            or row.kind is Kind.MOVEMENT
        ):
            return None
        if any(n.size > FOLD_LIMIT for n in nodes):
            return None
        with np.errstate(all="ignore"):
            value = row.reference(*(n.attrs["value"] for n in nodes), **attrs)
        (spec,) = results_of(op, nodes, attrs)
        return self.add("const", (), {"value": np.asarray(value, dtype=spec.dtype)})

    def filled(self, value: Any, shape: tuple[int, ...], dtype: DType) -> int:
        """An array whose elements are all `value`."""
        constant = self.add("const", (), {"value": np.array(value, dtype)})
        return self.make("broadcast", (constant,), {"shape": shape, "axes": ()})

    def scalar(self, node_id: int) -> float | None:
        """The value of a constant, or of the constant that is broadcast here."""
        node = self.node(node_id)
        while OPS[node.op].whole:
            node = self.node(node.args[0])
        known = node.kind is Kind.CONSTANT and node.size == 1
        return node.attrs["value"].item() if known else None
