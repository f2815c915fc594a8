"""Movement ops as index expressions: which input element an output element is.

Enters: a movement node and the index of one of its elements, an `Index` per axis. Leaves: the index
of the element of its argument, and for a pad the condition under which there is one. Always holds:
nothing is copied or computed here; composing these maps is all that a view is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..graph import Graph, Node
from ..ops.table import Kind
from .nest import Index, Var, at, divmod_index

Indices = tuple[Index, ...]


@dataclass(frozen=True)
class Source:
    """Where one element of a movement node comes from: argument `arg` at `index`, if all `tests`
    hold.
    """

    arg: int
    index: Indices
    tests: tuple[tuple[Index, int, int], ...] = ()


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    result = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        result[axis] = result[axis + 1] * shape[axis + 1]
    return tuple(result)


def flatten(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The offset of an element in row-major storage."""
    total = Index()
    for i, stride in zip(index, strides(shape), strict=True):
        total += i * stride
    return total


def unflatten(offset: Index, shape: Sequence[int]) -> Indices:
    """The index of the element at a row-major offset."""
    result: list[Index] = []
    for stride in strides(shape):
        whole, offset = divmod_index(offset, stride)
        result.append(whole)
    return tuple(result)


def sources(graph: Graph, node: Node, index: Indices) -> tuple[Source, ...]:
    """The possible sources of element `index` of a movement node; only `concat` has several."""
    a = node.attrs
    arg = node.args[0]
    shape = graph[arg].shape
    match node.op:
        case "reshape":
            return (Source(arg, unflatten(flatten(index, node.shape), shape)),)
        case "transpose":
            moved = [Index()] * len(index)
            for out_axis, in_axis in enumerate(a["perm"]):
                moved[in_axis] = index[out_axis]
            return (Source(arg, tuple(moved)),)
        case "broadcast":
            return (Source(arg, tuple(index[axis] for axis in a["axes"])),)
        case "slice":
            picked = (i * s + b for i, s, b in zip(index, a["step"], a["start"], strict=True))
            return (Source(arg, tuple(picked)),)
        case "flip":
            flipped = (
                i * -1 + (n - 1) if axis in a["axes"] else i
                for axis, (i, n) in enumerate(zip(index, shape, strict=True))
            )
            return (Source(arg, tuple(flipped)),)
        case "pad":
            return (_pad(node, index, arg, shape),)
        case "concat":
            return _concat(graph, node, index)
    raise AssertionError(f"movement op `{node.op}` has no index map")


def _pad(node: Node, index: Indices, arg: int, shape: tuple[int, ...]) -> Source:
    tests: list[tuple[Index, int, int]] = []
    inner: list[Index] = []
    low, step = node.attrs["low"], node.attrs["step"]
    for axis, (i, n) in enumerate(zip(index, shape, strict=True)):
        if low[axis] == 0 and step[axis] == 1 and n == node.shape[axis]:
            inner.append(i)
            continue
        last = low[axis] + (n - 1) * step[axis]
        tests.append((i, low[axis], last + 1))
        whole, rest = divmod_index(i + -low[axis], step[axis])
        if step[axis] > 1:
            tests.append((rest, 0, 1))
        inner.append(whole if n > 1 else Index())
    return Source(arg, tuple(inner), tuple(tests))


def _concat(graph: Graph, node: Node, index: Indices) -> tuple[Source, ...]:
    axis, start, found = node.attrs["axis"], 0, []
    for arg in node.args:
        n = graph[arg].shape[axis]
        within = index[axis] + -start if n > 1 else Index()
        moved = (*index[:axis], within, *index[axis + 1 :])
        found.append(Source(arg, moved, ((index[axis], start, start + n),)))
        start += n
    return tuple(found)


@dataclass(frozen=True)
class View:
    """Element `index` of a movement chain is element `offset` of the stored node `base`."""

    base: int
    offset: Index


def view(graph: Graph, node_id: int, index: Indices, stored: Callable[[int], bool]) -> View | None:
    """The chain of movements from `node_id` to a stored node as one affine offset, if it is one."""
    while not stored(node_id):
        node = graph[node_id]
        if node.kind is not Kind.MOVEMENT:
            return None
        found = sources(graph, node, index)
        if len(found) != 1 or found[0].tests:
            return None
        node_id, index = found[0].arg, found[0].index
    offset = flatten(index, graph[node_id].shape)
    return View(node_id, offset) if offset.affine else None


def axes_of(shape: Sequence[int], names: Sequence[str]) -> tuple[tuple[Var, ...], Indices]:
    """One loop variable per axis, and the index made of them."""
    variables = tuple(Var(name, n) for name, n in zip(names, shape, strict=True))
    return variables, tuple(at(v) for v in variables)
