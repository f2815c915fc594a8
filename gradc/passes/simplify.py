"""Simplification: local rewrites, each shown as one rule.

Enters: a graph. Leaves: an equal graph with fewer or cheaper nodes. Always holds: every rule is
exact, NaN, infinities and rounding included (so `x * 0` stays, and nothing is re-associated);
common subexpressions are merged by the constructor and dead nodes dropped when the graph is
finished.

A rule looks at a node about to be added, given as (op, argument ids, attributes), and returns the
id of what should stand there instead, or None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from math import copysign, prod
from typing import Any

import numpy as np

from ..dtypes import BOOL, DType
from ..graph import Graph, Node
from ..ops.table import OPS, Kind, infer
from .rewrite import Rewriter

Attrs = Mapping[str, Any]
Args = tuple[int, ...]
Rule = Callable[["Simplifier", str, Args, Attrs], int | None]

RULES: dict[str, list[Rule]] = defaultdict(list)
FOLD_LIMIT = 64
"""Elements up to which an operation on constants is carried out while compiling."""


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register a rule for the named ops."""

    def register(function: Rule) -> Rule:
        for op in ops:
            RULES[op].append(function)
        return function

    return register


class Simplifier(Rewriter):
    """Rebuilds a graph with the rules applied to every node as it is added."""

    def make(self, op: str, args: Args, attrs: Attrs, name: str | None = None) -> int:
        """Add a node, or what the first rule that matches makes of it."""
        if any(self.node(a).size == 0 for a in args) or 0 in attrs.get("shape", ()):
            return self._without_elements(op, args, attrs)
        folded = self._fold(op, args, attrs)
        if folded is not None:
            return folded
        rules = RULES[op]
        if OPS[op].kind is Kind.ELEMENTWISE:
            rules = [*rules, compute_before_broadcast]
        for apply in rules:
            found = apply(self, op, args, attrs)
            if found is not None:
                if name:
                    self.builder.rename(found, name)
                return found
        return self.add(op, args, attrs, name=name)

    def visit(self, node: Node, args: Args) -> int:
        if node.kind is Kind.SOURCE:
            return self.copy(node, args)
        return self.make(node.op, args, node.attrs, node.name)

    def _without_elements(self, op: str, args: Args, attrs: Attrs) -> int:
        """What has no elements is a constant, and what is made of such holds only start values.

        So no later stage meets an array without elements, but as an input or an output.
        """
        nodes = [self.node(a) for a in args]
        spec = infer(op, [n.spec for n in nodes], attrs)
        if spec.size == 0:
            return self.add("const", (), {"value": np.zeros(spec.shape, spec.dtype)})
        if op == "concat":
            return self.make(op, tuple(n.id for n in nodes if n.size), attrs)
        row = OPS[op]
        value = attrs.get("value", 0)  # of a pad; a sum of no products is 0
        if row.kind is Kind.REDUCTION:
            value = row.reference(np.zeros(0, nodes[0].dtype), axes=(0,))
        return self.filled(value, spec.shape, spec.dtype)

    def _fold(self, op: str, args: Args, attrs: Attrs) -> int | None:
        """An operation on small constants is a constant."""
        row, nodes = OPS[op], [self.node(a) for a in args]
        if not nodes or any(n.op != "const" for n in nodes) or row.kind is Kind.MOVEMENT:
            return None
        if any(n.size > FOLD_LIMIT for n in nodes):
            return None
        with np.errstate(all="ignore"):
            value = row.reference(*(n.attrs["value"] for n in nodes), **attrs)
        spec = row.shape(op, [n.spec for n in nodes], attrs)
        return self.add("const", (), {"value": np.asarray(value, dtype=spec.dtype)})

    def filled(self, value: Any, shape: tuple[int, ...], dtype: DType) -> int:
        """An array whose elements are all `value`."""
        constant = self.add("const", (), {"value": np.array(value, dtype)})
        return self.make("broadcast", (constant,), {"shape": shape, "axes": ()})

    def scalar(self, node_id: int) -> float | None:
        """The value of a constant, or of the constant that is broadcast here."""
        node = self.node(node_id)
        while node.op in ("broadcast", "reshape"):
            node = self.node(node.args[0])
        return node.attrs["value"].item() if node.op == "const" and node.size == 1 else None


# Identities; x - 0 is x for every x, while x + 0 would lose the sign of -0


@rule("stop_gradient", "identity")
def marker(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0]


@rule("mul")
def times_one(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a, b = args
    return a if s.scalar(b) == 1 else b if s.scalar(a) == 1 else None


@rule("div", "pow")
def by_one(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if s.scalar(args[1]) == 1 else None


@rule("sub")
def minus_zero(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    zero = s.scalar(args[1])
    return args[0] if zero == 0 and copysign(1, zero) > 0 else None


@rule("pow")
def small_power(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return s.make("mul", (args[0], args[0]), {}) if s.scalar(args[1]) == 2 else None


@rule("neg")
def double_negative(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    inner = s.node(args[0])
    return inner.args[0] if inner.op == "neg" else None


@rule("add")
def plus_negative(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    b = s.node(args[1])
    return s.make("sub", (args[0], b.args[0]), {}) if b.op == "neg" else None


@rule("cast")
def cast_to_same(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if s.node(args[0]).dtype == attrs["dtype"] else None


@rule("where")
def same_branches(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[1] if args[1] == args[2] else None


@rule("less", "greater", "less_equal", "greater_equal", "equal", "not_equal", "logical_xor")
def compared_with_itself(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Known in advance, but that NaN is not equal to itself."""
    a, b = (s.node(x) for x in args)
    if a is not b or (a.dtype.kind == "f" and op not in ("less", "greater")):
        return None
    return s.filled(op in ("less_equal", "greater_equal", "equal"), a.shape, BOOL)


@rule("maximum", "minimum", "logical_and", "logical_or", "bitwise_and", "bitwise_or")
def same_operands(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if args[0] == args[1] else None


@rule("sub", "bitwise_xor")
def taken_from_itself(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Nothing is left of an integer; but infinity less infinity is NaN."""
    a = s.node(args[0])
    return s.filled(0, a.shape, a.dtype) if args[0] == args[1] and a.dtype.kind != "f" else None


@rule("less", "less_equal", "greater", "greater_equal")
def compared_with_limit(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """No integer is less than its dtype's least, or greater than its greatest."""
    a = s.node(args[0])
    if a.dtype.kind == "f":
        return None
    least, greatest = _limits(a.dtype)
    low, high = (s.scalar(x) for x in args)
    if op in ("greater", "less_equal"):
        low, high = high, low  # now asks `low < high`, or whether that is not so
    if low == greatest or high == least:
        return s.filled(op in ("greater_equal", "less_equal"), a.shape, BOOL)
    return None


@rule("maximum", "minimum")
def limited_by_limit(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """The least or greatest value of an integer dtype wins always, or never."""
    a, b = args
    if s.node(a).dtype.kind == "f":
        return None
    least, greatest = _limits(s.node(a).dtype)
    winner, loser = (greatest, least) if op == "maximum" else (least, greatest)
    if s.scalar(a) == winner or s.scalar(b) == loser:
        return a
    return b if s.scalar(b) == winner or s.scalar(a) == loser else None


def _limits(dtype: DType) -> tuple[int, int]:
    """The least and the greatest value of an integer dtype, or of bool."""
    if dtype.kind == "b":
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


@rule("floor_divide", "remainder")
def by_zero_or_itself(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """An integer divided by 0 is 0, and 0 remains."""
    a = s.node(args[0])
    if a.dtype.kind == "f" or not (s.scalar(args[1]) == 0 or args[0] == args[1]):
        return None
    zero = s.filled(0, a.shape, a.dtype)
    if op == "remainder" or args[0] != args[1]:
        return zero
    return s.make("cast", (s.make("not_equal", (a.id, zero), {}),), {"dtype": a.dtype})


@rule("bitwise_left_shift", "bitwise_right_shift")
def shifted_out(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """A shift by the width or more leaves 0, or the sign."""
    a, count = s.node(args[0]), s.scalar(args[1])
    width = 8 * a.dtype.itemsize
    if count is None or 0 <= count < width:
        return None
    if op == "bitwise_left_shift" or a.dtype.kind == "u":
        return s.filled(0, a.shape, a.dtype)
    return s.make(op, (a.id, s.filled(width - 1, a.shape, a.dtype)), attrs)


# Movement


@rule("reshape")
def reshape_of_reshape(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a = s.node(args[0])
    if a.shape == attrs["shape"]:
        return a.id
    return s.make("reshape", a.args, attrs) if a.op == "reshape" else None


@rule("transpose")
def transpose_of_transpose(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a, perm = s.node(args[0]), attrs["perm"]
    if perm == tuple(range(len(perm))):
        return a.id
    if a.op == "transpose":
        return s.make("transpose", a.args, {"perm": tuple(a.attrs["perm"][p] for p in perm)})
    if a.op == "broadcast" and not a.attrs["axes"]:
        shape = tuple(a.shape[p] for p in perm)
        return s.make("broadcast", a.args, {"shape": shape, "axes": ()})
    return None


@rule("transpose")
def transpose_of_product(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """(a @ b).T is b.T @ a.T, which is the same products with the operands swapped."""
    a = s.node(args[0])
    if a.op != "dot":
        return None
    batch, contract = a.attrs["batch"], a.attrs["contract"]
    left, right = (s.node(x) for x in a.args)
    count = len(batch[0])
    free_left = len(left.shape) - count - len(contract[0])
    rank = len(a.shape)
    order = (*range(count), *range(count + free_left, rank), *range(count, count + free_left))
    if attrs["perm"] != order:
        return None
    swapped = {"contract": contract[::-1], "batch": batch[::-1]}
    return s.make("dot", (right.id, left.id), swapped)


@rule("broadcast")
def broadcast_of_broadcast(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a, axes = s.node(args[0]), attrs["axes"]
    if a.shape == attrs["shape"]:
        return a.id
    if a.op == "broadcast":
        composed = tuple(axes[k] for k in a.attrs["axes"])
        return s.make("broadcast", a.args, {"shape": attrs["shape"], "axes": composed})
    return None


@rule("reshape")
def reshape_of_scalar(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a = s.node(args[0])
    if a.op == "broadcast" and not a.attrs["axes"]:
        return s.make("broadcast", a.args, {"shape": attrs["shape"], "axes": ()})
    return None


@rule("slice")
def whole_slice(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a = s.node(args[0])
    return a.id if a.shape == attrs["shape"] and all(k == 1 for k in attrs["step"]) else None


@rule("flip")
def flip_of_flip(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a = s.node(args[0])
    if not attrs["axes"]:
        return a.id
    return a.args[0] if a.op == "flip" and a.attrs["axes"] == attrs["axes"] else None


@rule("pad")
def no_pad(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if s.node(args[0]).shape == attrs["shape"] else None


@rule("concat")
def single_concat(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if len(args) == 1 else None


# Computing before spreading out


def compute_before_broadcast(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """An elementwise op on equal broadcasts is the broadcast of the op."""
    nodes = [s.node(a) for a in args]
    spread = [n for n in nodes if n.op == "broadcast"]
    if not spread or len(spread) < len(nodes):
        return None
    wide = max(spread, key=lambda n: len(n.attrs["axes"]))
    axes, small = wide.attrs["axes"], s.node(wide.args[0]).shape
    inner: list[int] = []
    for n in nodes:
        if n.attrs["axes"] == axes:
            inner.append(n.args[0])
        elif not n.attrs["axes"]:
            inner.append(s.make("broadcast", n.args, {"shape": small, "axes": ()}))
        else:
            return None
    result = s.make(op, tuple(inner), attrs)
    return s.make("broadcast", (result,), {"shape": nodes[0].shape, "axes": axes})


# Reductions and contractions


@rule("sum", "max", "min", "prod", "all", "any")
def reduce_nothing(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Folding axes of extent 1 only drops them; folding no axes does nothing."""
    a = s.node(args[0])
    if prod(a.shape[axis] for axis in attrs["axes"]) != 1:
        return None
    shape = tuple(n for axis, n in enumerate(a.shape) if axis not in attrs["axes"])
    return s.make("reshape", args, {"shape": shape})


@rule("argmax", "argmin")
def select_last(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """The axis searched is brought to the end, where a row is read in order."""
    rank, (axis,) = len(s.node(args[0]).shape), attrs["axes"]
    if axis == rank - 1:
        return None
    perm = (*(k for k in range(rank) if k != axis), axis)
    moved = s.make("transpose", args, {"perm": perm})
    return s.make(op, (moved,), {"axes": (rank - 1,)})


@rule("dot")
def product_of_vectors(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """A product over one term is a multiplication; one of two vectors is a sum of products."""
    a, b = s.node(args[0]), s.node(args[1])
    (ca, cb), (ba, bb) = attrs["contract"], attrs["batch"]
    depth = prod(a.shape[k] for k in ca)
    free_a = [k for k in range(len(a.shape)) if k not in (*ca, *ba)]
    free_b = [k for k in range(len(b.shape)) if k not in (*cb, *bb)]
    extents = (prod(a.shape[k] for k in free_a), prod(b.shape[k] for k in free_b))
    if depth != 1 and extents != (1, 1):
        return None
    batch = tuple(a.shape[k] for k in ba)
    left, right = tuple(a.shape[k] for k in free_a), tuple(b.shape[k] for k in free_b)
    summed = tuple(a.shape[k] for k in ca)
    count, rank = len(batch), len(batch) + len(left) + len(right)
    full = (*batch, *left, *right, *summed)
    tail = tuple(range(rank, rank + len(summed)))
    ordered_a = s.make("transpose", (a.id,), {"perm": (*ba, *free_a, *ca)})
    ordered_b = s.make("transpose", (b.id,), {"perm": (*bb, *free_b, *cb)})
    axes_a = (*range(count + len(left)), *tail)
    axes_b = (*range(count), *range(count + len(left), rank), *tail)
    wide_a = s.make("broadcast", (ordered_a,), {"shape": full, "axes": axes_a})
    wide_b = s.make("broadcast", (ordered_b,), {"shape": full, "axes": axes_b})
    product = s.make("mul", (wide_a, wide_b), {})
    return s.make("sum", (product,), {"axes": tail})


def simplify(graph: Graph) -> Graph:
    """Apply the rules until the graph no longer shrinks."""
    while True:
        simplifier = Simplifier(graph)
        smaller = simplifier.run(simplifier.visit)
        if len(smaller) >= len(graph):
            return smaller
        graph = smaller
