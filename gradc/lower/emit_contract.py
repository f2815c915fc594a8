"""Contractions in a loop tree: a tile, with what is done to its sums, inside the loops around it.

Enters: a `TileLoop` and where it is along the axes of the loops that are open. Leaves: the
statements of the contraction (see `contraction`). Always holds: operands are affine views of what
is in memory or in an array of this kernel; each sum is visited once, and everything that shares its
tile is computed there.
"""

from __future__ import annotations

from ..graph import Node
from ..index import Index, Indices, Var, at, flatten
from ..ops.table import Kind
from ..passes.statements import Product, Role
from ..passes.tree import TileLoop
from ..passes.views import sources
from .contraction import Contraction
from .dot import Axes, Dot, Operand
from .emit_fold import Folds
from .emit_value import emit_value
from .nest import Ref
from .places import Env, Places
from .pointwise import Body
from .target import Target


def emit_contract(
    places: Places, folds: Folds, item: TileLoop, env: Env, target: Target, body: Body
) -> None:
    """The tiles of a contraction and what they take along."""
    tree, graph, elements = places.tree, places.graph, places.elements
    node, s = graph[item.contract], tree.statements[item.contract]
    assert s.product is not None
    letters = _letters(s.product, len(s.extents))
    opened = [tree.axis_of[node.id, k] in env for k in range(len(s.extents))]
    free = [
        Var(letter if around else elements.names.fresh(letter), n)
        for letter, n, around in zip(letters, s.extents, opened, strict=True)
    ]
    where = tuple(env[tree.axis_of[node.id, k]] if opened[k] else at(v) for k, v in enumerate(free))

    def epilogue(index: Indices, total: Ref, lane: Index, scope: Body) -> None:
        elements.local[node.id] = lambda _: total
        here = {**env, **dict(zip(tree.result(node.id), index, strict=True))}
        for n in item.nodes:
            if tree.statements[n].role is Role.FOLD:
                argument = places.argument(n, here)
                value = elements.value(graph[n].args[0], argument, scope)
                folds.take(n, value, here, lane, scope)
            else:
                emit_value(places, n, here, scope)

    def own(first: int, end: int) -> tuple[Var, ...]:
        return tuple(free[k] for k in range(first, end) if not opened[k])

    p = s.product
    axes = Axes(
        own(0, p.batch), own(p.batch, p.left), own(p.left, p.right), own(p.right, len(free))
    )
    operands = [
        _operand(places, arg, tuple(where[k] for k in dims))
        for arg, dims in zip(node.args, p.operands, strict=True)
    ]
    bare = not item.values and places.is_kept(node.id)
    own_place = Operand(*places.element(node.id, where[: p.right])) if bare else None
    dot = Dot(
        elements, node, axes, (operands[0], operands[1]), where[: p.right], epilogue, own_place
    )
    Contraction(dot, target).lower(body)
    places.scratch += dot.scratch
    elements.names.release([v.name for v, around in zip(free, opened, strict=True) if not around])


def _letters(p: Product, count: int) -> str:
    """What the loops of a contraction are called: n for the batch, i and j, p for the depth."""
    return (
        "n" * p.batch
        + "i" * (p.left - p.batch)
        + "j" * (p.right - p.left)
        + "p" * (count - p.right)
    )


def _operand(places: Places, node_id: int, index: Indices) -> Operand:
    """An element of an operand: in memory, or in an array of this kernel."""
    graph, elements = places.graph, places.elements
    while node_id not in places.tree.statements:
        node = graph[node_id]
        if elements.stored(node_id):
            return Operand(elements.load(node), _affine(flatten(index, node.shape), node))
        assert node.kind is Kind.MOVEMENT, f"operand {node} is not in memory"
        (found,) = sources(graph, node, index)
        assert not found.tests, f"operand {node} is not a view"
        node_id, index = node.args[found.operand], found.index
    buffer, offset = places.element(node_id, index)
    return Operand(buffer, _affine(offset, graph[node_id]))


def _affine(offset: Index, node: Node) -> Index:
    assert offset.affine, f"operand {node} is not an affine view"
    return offset
