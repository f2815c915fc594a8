"""Which axes of a graph are one: those whose extents its ops force to be equal.

Enters: a graph. Leaves: `Axes`: for each array the class of each of its axes. Always holds: axes of
one class have one extent; what an op does with axes is what its row says.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..graph import Graph, Node
from ..index import at
from ..ops.contraction import free_axes
from ..ops.table import Kind
from ..passes.views import sources, whole_variables

Axis = tuple[int, int]
"""An axis of a node's array: the node's id, and which axis."""


@dataclass(frozen=True)
class Axes:
    """`of[node]` are the classes of a node's axes, numbered from 0 in the order of the nodes.

    `leaves`, `arguments` and `results` are the classes of the axes of the graph's ends.
    """

    of: Mapping[Hashable, tuple[int, ...]]
    leaves: tuple[tuple[int, ...], ...] = ()
    arguments: tuple[tuple[int, ...], ...] = ()
    results: tuple[tuple[int, ...], ...] = ()


class Classes:
    """A partition that grows coarser: things, numbered, that are found to be one."""

    def __init__(self) -> None:
        self._root: dict[object, object] = {}

    def root(self, thing: object) -> object:
        """The one that stands for all of a class."""
        path = []
        while (above := self._root.get(thing, thing)) != thing:
            path.append(thing)
            thing = above
        self._root.update(dict.fromkeys(path, thing))
        return thing

    def join(self, a: object, b: object) -> None:
        """From now on `b` is of the class of `a`, whose root stays."""
        self._root[self.root(b)] = self.root(a)


def find_axes(graph: Graph, leaves: int, replaced: Sequence[int] = ()) -> Axes:
    """The axes of a graph whose first inputs are the `leaves` of a state, and whose first outputs
    are new values of those that are `replaced`.
    """
    classes = Classes()
    single = [node for node in graph if len(node.results) == 1]
    for node in single:
        for a, b in _equal(graph, node):
            classes.join(a, b)
    for leaf, out in zip(replaced, graph.outputs, strict=False):
        old = graph.inputs[leaf]
        if graph[old].shape == graph[out].shape:  # else axes of extent 1 have gone
            for a, b in zip(_axes(graph, old), _axes(graph, out), strict=True):
                classes.join(a, b)
    numbers: dict[object, int] = {}
    of: dict[Hashable, tuple[int, ...]] = {
        node.id: tuple(
            numbers.setdefault(classes.root(axis), len(numbers)) for axis in _axes(graph, node.id)
        )
        for node in single
    }
    ends = [of[i] for i in (*graph.inputs, *graph.outputs[len(replaced) :])]
    count = len(graph.inputs)
    return Axes(of, tuple(ends[:leaves]), tuple(ends[leaves:count]), tuple(ends[count:]))


def _axes(graph: Graph, node_id: int) -> list[Axis]:
    return [(node_id, axis) for axis in range(len(graph[node_id].shape))]


def _equal(graph: Graph, node: Node) -> Iterator[tuple[Axis, Axis]]:
    """Pairs of axes of a node and its operands that have one extent."""
    match node.kind:
        case Kind.ELEMENTWISE:
            for a in node.args:
                yield from zip(_axes(graph, a), _axes(graph, node.id), strict=True)
        case Kind.REDUCTION:
            (a,) = node.args
            kept = [axis for axis in _axes(graph, a) if axis[1] not in node.attrs["axes"]]
            yield from zip(kept, _axes(graph, node.id), strict=True)
        case Kind.MOVEMENT:
            yield from _moved(graph, node)
        case Kind.CONTRACTION:
            yield from _contracted(graph, node)


def _moved(graph: Graph, node: Node) -> Iterator[tuple[Axis, Axis]]:
    """An axis that an element's index goes through as it is."""
    variables = whole_variables(node.shape)
    for source in sources(graph, node, tuple(map(at, variables))):
        operand = graph[node.args[source.operand]]
        for axis, index in enumerate(source.index):
            for k, v in enumerate(variables):
                if v.extent > 1 and index == at(v) and operand.shape[axis] == v.extent:
                    yield (operand.id, axis), (node.id, k)


def _contracted(graph: Graph, node: Node) -> Iterator[tuple[Axis, Axis]]:
    contract, batch = node.attrs["contract"], node.attrs["batch"]
    a, b = node.args
    for left, right in ((contract[0], contract[1]), (batch[0], batch[1])):
        yield from zip(_of(a, left), _of(b, right), strict=True)
    own = [free_axes(len(graph[i].shape), contract[k], batch[k]) for k, i in enumerate((a, b))]
    made = [*_of(a, batch[0]), *_of(a, own[0]), *_of(b, own[1])]
    yield from zip(made, _axes(graph, node.id), strict=True)


def _of(node_id: int, axes: Iterable[int]) -> list[Axis]:
    return [(node_id, axis) for axis in axes]
