"""Reverse mode: the gradient of one node of a running trace with respect to others.

Enters: a running trace, a function and its arguments. Leaves: traced values, the gradients. Always
holds: a gradient is made of the same ops as the function, so it can be differentiated again; nodes
are visited in descending order and contributions are added in that order, so the result is the same
on every run; a missing gradient is an error, never silently zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ..dtypes import is_float
from ..errors import (
    ArgumentError,
    DTypeError,
    GradcError,
    Label,
    ShapeError,
    TraceError,
    UnsupportedError,
    fail,
)
from ..functions import zeros
from ..graph import Node
from ..ops import OPS, Kind
from ..trace import Trace, Value, argument_names, current_trace, error, lift
from ..trace.source import place_of_result
from ..tree import Tree, flatten

Function = Callable[..., Any]
Parts = tuple[Value | None, ...]
E = TypeVar("E", bound=GradcError)
REACHED, STOPPED, UNREACHED = "reached", "stopped", "unreached"


@dataclass(frozen=True)
class Gradient:
    """The value of a function and its gradient.

    `reach` says, for the path of each leaf, how the value depends on it: `reached`; `stopped`, only
    through ops that pass no gradient (`stop_gradient`, `floor`, comparisons); or `unreached`.
    """

    value: Any
    aux: Any
    gradients: Any
    reach: Mapping[str, str]


def pull_back(
    owner: Trace, cotangents: Sequence[tuple[Value, Any]], targets: Sequence[int]
) -> list[Value | None]:
    """The cotangent of each target node, given pairs of an output and its cotangent.

    None where no gradient flows. Raises `UnsupportedError` where one must flow through an op that
    has no rule for it.
    """
    nodes = owner.builder.nodes
    last = max((output.node_id for output, _ in cotangents), default=-1)
    needed = set(targets)
    for i, node in nodes.items():
        real = any(is_float(spec.dtype) for spec in node.results)
        if i <= last and real and not needed.isdisjoint(node.args):
            needed.add(i)
    collected: dict[int, Value] = {}
    parts: dict[int, dict[int, Value]] = {}  # of nodes with several results, by result
    for output, g in cotangents:
        _add(collected, output.node_id, lift(owner, g, output.dtype))
    for i in range(last, min(targets, default=0) - 1, -1):
        if i not in needed or (i not in collected and i not in parts):
            continue
        if i in collected:
            owner.cotangents.setdefault(i, collected[i].node_id)
        if i in targets:
            continue
        if nodes[i].kind is Kind.ITEM:
            parts.setdefault(nodes[i].args[0], {})[nodes[i].attrs["index"]] = collected[i]
            continue
        with owner.deriving(nodes[i]):
            g = collected[i] if i in collected else _all_parts(nodes[i], parts[i])
            for a, part in _contributions(owner, nodes[i], g, needed):
                _add(collected, a, part)
    return [collected.get(i) for i in targets]


def _add(collected: dict[int, Value], node_id: int, g: Value) -> None:
    collected[node_id] = collected[node_id] + g if node_id in collected else g


def _all_parts(node: Node, parts: Mapping[int, Value]) -> Parts:
    """The cotangents of all results; None for one that nothing depends on."""
    return tuple(parts.get(k) for k in range(len(node.results)))


def _contributions(
    owner: Trace, node: Node, g: Value | Parts, needed: set[int]
) -> list[tuple[int, Value]]:
    """What `node` passes on to each of its arguments that a gradient is wanted for.

    The rule of a node with several results is handed a tuple of cotangents and one of results.
    """
    wanted = [a in needed for a in node.args]
    if not any(wanted):
        return []
    rule = OPS[node.op].vjp
    if rule is None:
        raise fail(
            UnsupportedError,
            "GC301",
            f"`{node.op}` has no gradient",
            span=node.span,
            helps=("if the gradient is not wanted, cut it with `gd.stop_gradient`",),
        )
    args = [Value(owner, a) for a in node.args]
    y: Value | Parts = Value(owner, node.id)
    if len(node.results) > 1:
        items = [owner.add("item", (node.id,), {"index": k}) for k in range(len(node.results))]
        y = tuple(Value(owner, item) for item in items)
    pulled = rule(g, y, *args, **node.attrs)
    triples = zip(node.args, pulled, wanted, strict=True)
    return [(a, part) for a, part, want in triples if want and part is not None]


# inside a trace


def mark(owner: Trace, argument: Any, name: str) -> tuple[Any, list[int], list[str], Tree]:
    """The argument with each leaf behind an `identity` marker of its own, and the markers' ids.

    A marker makes the gradient one with respect to this argument alone: the same value used by the
    function in another way (through a closure) is a constant. Tied leaves share a marker.
    """
    leaves, tree = flatten(argument)
    markers: dict[int, int] = {}
    marked, ids = [], []
    for leaf, path in zip(leaves, tree.paths(name), strict=True):
        value = lift(owner, leaf)
        if not is_float(value.dtype):
            raise error(
                DTypeError,
                "GC302",
                f"the gradient with respect to `{path}` is asked for, which is {value.spec!r}",
                helps=("convert it to a floating-point number first",),
            )
        if value.node_id not in markers:
            marker = owner.add("identity", (value.node_id,), unique=True)
            owner.builder.rename(marker, value.node.name or path)
            markers[value.node_id] = marker
        ids.append(markers[value.node_id])
        marked.append(Value(owner, ids[-1], argument=path))
    return tree.unflatten(marked), ids, tree.paths(name), tree


def _scalar_loss(owner: Trace, result: Any, fn: Function) -> Value:
    leaves, _ = flatten(result)
    if len(leaves) != 1 or leaves[0] is not result:
        got = "nothing" if result is None else f"a `{type(result).__name__}`"
        message = f"the loss must be one scalar, got {got}"
        raise _no_loss(TraceError, message, "return further values with `has_aux=True`", fn)
    loss = lift(owner, result)
    if loss.shape:
        message = f"the loss must be a scalar, got {loss.spec!r}"
        raise _no_loss(ShapeError, message, "reduce it, for example by `.mean()`", fn)
    if not is_float(loss.dtype):
        message = f"the loss must be a real number, got {loss.spec!r}"
        help_ = "cast it: `.astype(gd.float32)`, if it has a gradient at all"
        raise _no_loss(DTypeError, message, help_, fn)
    return loss


def _no_loss(kind: type[E], message: str, help_: str, fn: Function) -> E:
    """An error that points at where the loss, `fn` or what it wraps, returns."""
    place = place_of_result(getattr(fn, "__wrapped__", fn))
    labels = (Label(place),) if place is not None else ()
    return fail(kind, "GC303", message, labels=labels, helps=(help_,))


def chosen_of(argnums: int | Sequence[int], count: int) -> list[int]:
    """The positions of the arguments to differentiate, of `count` arguments."""
    chosen = [argnums] if isinstance(argnums, int) else list(argnums)
    for i in chosen:
        if not -count <= i < count:
            raise error(ArgumentError, "GC307", f"`argnums` names argument {i} of {count}")
    return [i % count for i in chosen]


def gradient_of(
    fn: Function, args: Sequence[Any], argnums: int | Sequence[int] = 0, *, has_aux: bool = False
) -> Gradient:
    """Value, gradient and reach of `fn(*args)`, inside a running trace."""
    owner = current_trace()
    if owner is None:
        raise error(TraceError, "GC304", "`gradient_of` works inside a traced function only")
    chosen = chosen_of(argnums, len(args))
    names = argument_names(fn, len(args))
    args = list(args)
    targets: list[int] = []
    paths: list[str] = []
    trees: list[Tree] = []
    for i in chosen:
        args[i], ids, own_paths, tree = mark(owner, args[i], names[i])
        targets += ids
        paths += own_paths
        trees.append(tree)
    result = fn(*args)
    value, aux = result if has_aux else (result, None)
    loss = _scalar_loss(owner, value, fn)
    pulled = pull_back(owner, [(loss, 1.0)], targets)
    reach = _reach(owner, loss.node_id, targets, pulled)
    leaves = iter(or_zeros(owner, targets, paths, pulled))
    gradients = [tree.unflatten([next(leaves) for _ in range(tree.count)]) for tree in trees]
    whole = gradients[0] if isinstance(argnums, int) else tuple(gradients)
    by_path = dict(zip(paths, reach, strict=True))
    return Gradient(loss.labelled("value"), labelled(aux, "aux"), whole, by_path)


def labelled(nesting: Any, name: str) -> Any:
    """The nesting with its values called after their place in it, below `name`."""
    leaves, tree = flatten(nesting)
    pairs = zip(leaves, tree.paths(name), strict=True)
    return tree.unflatten([v.labelled(p) if isinstance(v, Value) else v for v, p in pairs])


def or_zeros(
    owner: Trace, targets: Sequence[int], paths: Sequence[str], pulled: Sequence[Value | None]
) -> list[Value]:
    """The gradients, each called `d_<path>`; zeros where none flows."""
    specs = [owner.builder.nodes[i].spec for i in targets]
    return [
        (zeros(spec.shape, dtype=spec.dtype) if g is None else g).labelled(f"d_{path}")
        for spec, path, g in zip(specs, paths, pulled, strict=True)
    ]


def _reach(
    owner: Trace, loss: int, targets: Sequence[int], pulled: Sequence[Value | None]
) -> list[str]:
    ancestors, stack = set(), [loss]
    while stack:
        i = stack.pop()
        if i not in ancestors:
            ancestors.add(i)
            stack.extend(owner.builder.nodes[i].args)
    return [
        REACHED if g is not None else STOPPED if i in ancestors else UNREACHED
        for i, g in zip(targets, pulled, strict=True)
    ]
