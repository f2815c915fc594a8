"""Simplification: local rewrites, each shown as one rule.

Enters: a graph. Leaves: an equal graph with fewer or cheaper nodes. Always holds: every rule is
exact, NaN, infinities and rounding included (so `x * 0` stays, and nothing is re-associated);
common subexpressions are merged by the constructor and dead nodes dropped when the graph is
finished.
The rules of this file hold for every dtype; those of `integers` only where algebra is exact.
"""

from __future__ import annotations

from math import copysign, prod

from ..dtypes import I32, is_float
from ..graph import Graph
from ..ops.table import OPS, Kind
from . import integers  # noqa: F401  (registers its rules)
from .cost import LANES
from .rules import Args, Attrs, Simplifier, rule

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


# Movement


@rule("reshape")
def reshape_of_reshape(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a = s.node(args[0])
    return s.make("reshape", a.args, attrs) if a.op == "reshape" else None


@rule("transpose")
def transpose_of_transpose(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a, perm = s.node(args[0]), attrs["perm"]
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


@rule("flip")
def flip_of_copies(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """An axis that only repeats is the same from behind."""
    a = s.node(args[0])
    if a.op != "broadcast" or set(attrs["axes"]) <= set(a.attrs["axes"]):
        return None
    return s.make("flip", args, {"axes": tuple(k for k in attrs["axes"] if k in a.attrs["axes"])})


@rule("slice")
def slice_of_copies(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """A part of an axis that only repeats is a repetition too."""
    a = s.node(args[0])
    if a.op != "broadcast":
        return None
    own, start, step = a.attrs["axes"], attrs["start"], attrs["step"]
    if any((start[k], step[k], attrs["shape"][k]) != (0, 1, a.shape[k]) for k in own):
        return None
    return s.make("broadcast", a.args, {"shape": attrs["shape"], "axes": own})


@rule("flip")
def flip_of_flip(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    a = s.node(args[0])
    return a.args[0] if a.op == "flip" and a.attrs["axes"] == attrs["axes"] else None


@rule("concat")
def single_concat(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if len(args) == 1 else None


@rule(Kind.ELEMENTWISE)
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


@rule("sum")
def sum_of_negatives(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """The sum is negated instead of every element, which rounds alike; and compilers would leave
    out the addition of -0, so that the loop is one with branches.
    """
    a = s.node(args[0])
    return s.make("neg", (s.make(op, a.args, attrs),), {}) if a.op == "neg" else None


@rule("max", "min", "all", "any")
def reduce_copies(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """The greatest of equal elements is each of them: axes that only repeat are not searched."""
    a, folded = s.node(args[0]), attrs["axes"]
    if a.op != "broadcast" or set(folded) <= set(a.attrs["axes"]):
        return None
    own = a.attrs["axes"]
    inner = s.make(op, a.args, {"axes": tuple(k for k, axis in enumerate(own) if axis in folded)})
    left = [axis for axis in range(len(a.shape)) if axis not in folded]
    kept = tuple(left.index(axis) for axis in own if axis not in folded)
    shape = tuple(a.shape[axis] for axis in left)
    return s.make("broadcast", (inner,), {"shape": shape, "axes": kept})


@rule("argmax", "argmin")
def select_last(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """The axis searched is brought to the end, where a row is read in order."""
    rank, (axis,) = len(s.node(args[0]).shape), attrs["axes"]
    if axis == rank - 1:
        return None
    perm = (*(k for k in range(rank) if k != axis), axis)
    moved = s.make("transpose", args, {"perm": perm})
    return s.make(op, (moved,), {"axes": (rank - 1,)})


@rule("argmax", "argmin")
def place_in_long_row(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """In a long row the place is the least of those where the extremum stands, or NaN: two passes
    that are vector code, in place of one that takes one element after the other.
    """
    a = s.node(args[0])
    extremum, last = OPS[op].extremum, len(a.shape) - 1
    if extremum is None or a.shape[last] < 2 * LANES:
        return None
    best = s.make(extremum, args, attrs)
    row = {"shape": a.shape, "axes": tuple(range(last))}
    stands = s.make("equal", (a.id, s.make("broadcast", (best,), row)), {})
    if is_float(a.dtype):
        stands = s.make("logical_or", (stands, s.make("isnan", (a.id,), {})), {})
    places = s.make("iota", (), {"length": a.shape[last], "dtype": I32})
    places = s.make("broadcast", (places,), {"shape": a.shape, "axes": (last,)})
    nowhere = s.filled(a.shape[last] - 1, a.shape, I32)
    return s.make("min", (s.make("where", (stands, places, nowhere), {}),), attrs)


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
