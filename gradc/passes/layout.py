"""How each parameter matrix lies in memory.

Enters: a graph and which of its inputs are state, with the outputs that replace them. Leaves: an
equal graph in which some matrices of the state are transposed inputs, and the set of those. Always
holds: what the user sees keeps its logical shape; only the storage order changes.

`nn.Linear` keeps PyTorch's logical (out, in), while the forward product wants the outputs
contiguous, the product of the gradient with the weights wants the inputs contiguous, and the update
follows either. The cost model chooses for each matrix; transposes then sink towards the inputs,
where they cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from networkx.utils import UnionFind

from ..dtypes import DType
from ..graph import Graph, Node
from ..ops.table import OPS, Kind
from .cost import contraction_cost
from .rewrite import Rewriter
from .simplify import simplify

SWAP = (1, 0)


Lanes = Callable[[DType], int]


def choose_layouts(
    leaves: Sequence[tuple[np.ndarray[Any, Any], Hashable]],
    graphs: Sequence[tuple[Graph, Sequence[int], Lanes]],
) -> frozenset[int]:
    """The matrices of the state that all graphs together would rather have transposed.

    `leaves` are its arrays, each with what else is laid out like it has (None: nothing); each graph
    comes with the leaves that its first outputs replace, and the lanes of a vector. What is updated
    together (a weight and its momentum) is laid out together, too.
    """
    matrices = [k for k, (a, _) in enumerate(leaves) if a.ndim == 2 and 1 not in a.shape]
    kept, swapped = dict.fromkeys(matrices, 0.0), dict.fromkeys(matrices, 0.0)
    alike = UnionFind(matrices)
    first: dict[Hashable, int] = {}
    for k in matrices:
        if leaves[k][1] is not None:
            alike.union(first.setdefault(leaves[k][1], k), k)
    for graph, replaced, lanes in graphs:
        for k in matrices:
            as_is, turned = layout_costs(graph, graph.inputs[k], lanes(leaves[k][0].dtype))
            kept[k], swapped[k] = kept[k] + as_is, swapped[k] + turned
        for a, b in updated_together(graph, replaced, matrices):
            alike.union(a, b)
    chosen: set[int] = set()
    for same in alike.to_sets():
        if sum(swapped[m] for m in sorted(same)) < sum(kept[m] for m in sorted(same)):
            chosen |= same
    return frozenset(chosen)


def layout_costs(graph: Graph, matrix: int, lanes: int) -> tuple[float, float]:
    """Cost of the products that read a matrix, stored as it is and stored transposed."""
    return _cost(graph, matrix, 1, lanes), _cost(graph, matrix, 0, lanes)


def _cost(graph: Graph, matrix: int, contiguous: int, lanes: int) -> float:
    """Cost of all products that read `matrix` when its axis `contiguous` is the contiguous one."""
    products, stack = set[int](), [matrix]
    while stack:
        for u in graph.users[stack.pop()]:
            if OPS[graph[u].op].permutation:
                stack.append(u)
            elif graph[u].kind is Kind.CONTRACTION and len(graph[u].shape) == 2:
                products.add(u)
    total = 0.0
    for u in sorted(products):
        for side in (0, 1):
            axis = _traced_axis(graph, graph[u].args[side], matrix, contiguous)
            if axis is not None:
                total += _product_cost(graph, graph[u], side, axis, lanes)
    return total


def _traced_axis(graph: Graph, node_id: int, matrix: int, axis: int) -> int | None:
    """Where `axis` of `matrix` ends up in an operand that is the matrix or its transpose."""
    turned = False
    while OPS[graph[node_id].op].permutation:
        turned = not turned
        node_id = graph[node_id].args[0]
    if node_id != matrix:
        return None
    return 1 - axis if turned else axis


def _product_cost(graph: Graph, node: Node, side: int, contiguous: int, lanes: int) -> float:
    """One product with the matrix as operand `side`, the other operand row-major."""
    contract = node.attrs["contract"]
    if len(contract[0]) != 1 or node.attrs["batch"][0]:
        return 0.0
    operands = [graph[a] for a in node.args]
    free = [1 - contract[k][0] for k in (0, 1)]
    rows, columns = (operands[k].shape[free[k]] for k in (side - 1, side))
    depth = operands[0].shape[contract[0][0]]
    with_matrix = contraction_cost(
        rows, columns, depth, lanes,
        columns_contiguous=contiguous == free[side], output_contiguous=side == 1,
    )  # fmt: skip
    other = operands[1 - side]
    with_other = contraction_cost(
        columns, rows, depth, lanes,
        columns_contiguous=free[1 - side] == len(other.shape) - 1, output_contiguous=side == 0,
    )  # fmt: skip
    return min(with_matrix, with_other)


def updated_together(
    graph: Graph, replaced: Sequence[int], matrices: Sequence[int]
) -> list[tuple[int, int]]:
    """Pairs of state matrices (input positions) that meet, element by element, in a new value."""
    position = {graph.inputs[k]: k for k in matrices}
    pairs = []
    for leaf, out in zip(replaced, graph.outputs, strict=False):
        if graph.inputs[leaf] not in position:
            continue
        stack, seen = [out], {out}
        while stack:
            node = graph[stack.pop()]
            other = position.get(node.id)
            if other is not None and graph[node.id].shape == graph[graph.inputs[leaf]].shape:
                pairs.append((leaf, other))
            if node.kind is Kind.ELEMENTWISE:
                fresh = [a for a in node.args if a not in seen]
                seen.update(fresh)
                stack += fresh
    return pairs


def apply_layouts(graph: Graph, swapped: frozenset[int], outputs: Mapping[int, int]) -> Graph:
    """Store the matrices in `swapped` transposed.

    `outputs` maps positions of `graph.outputs` to the input each replaces; those of swapped inputs
    come out transposed too.
    """
    rewriter = Rewriter(graph)

    def visit(node: Node, args: tuple[int, ...]) -> int:
        if node.id not in swapped:
            return rewriter.copy(node, args)
        spec = type(node.spec)(node.shape[::-1], node.dtype)
        stored = rewriter.builder.input(spec, node.name or "", node.span)
        return rewriter.add("transpose", (stored,), {"perm": SWAP})

    rewriter.run(visit)
    results: list[int] = []
    for position, out in enumerate(graph.outputs):
        new = rewriter.ids[out]
        if outputs.get(position) in swapped:
            rewriter.current = graph[out]
            new = rewriter.add("transpose", (new,), {"perm": SWAP})
        results.append(new)
    return sink_transposes(simplify(rewriter.builder.finish(results)))


def sink_transposes(graph: Graph) -> Graph:
    """Move transposes of computed values to the operands, where they are views or cancel.

    An elementwise node or product that is only read transposed is computed transposed.
    """
    turned = _only_read_transposed(graph)
    if not turned:
        return graph
    rewriter = Rewriter(graph)
    transposed: dict[int, int] = {}

    def turn(old: int) -> int:
        """The transposed form of an old node, in the new graph."""
        if old in transposed:
            return transposed[old]
        return rewriter.add("transpose", (rewriter.ids[old],), {"perm": SWAP})

    def visit(node: Node, args: tuple[int, ...]) -> int:
        if node.id in turned:
            if node.kind is Kind.ELEMENTWISE:
                moved = rewriter.add(
                    node.op, [turn(a) for a in node.args], node.attrs, name=node.name
                )
            else:
                swapped = {k: node.attrs[k][::-1] for k in ("contract", "batch")}
                moved = rewriter.add("dot", args[::-1], swapped, name=node.name)
            transposed[node.id] = moved
            return rewriter.add("transpose", (moved,), {"perm": SWAP})
        return rewriter.copy(node, args)

    return simplify(rewriter.run(visit))


def _is_matrix_product(graph: Graph, node: Node) -> bool:
    """Whether each operand has one axis of the result: then swapping the operands turns it."""
    if node.kind is not Kind.CONTRACTION or node.attrs["batch"][0]:
        return False
    summed = len(node.attrs["contract"][0])
    return all(len(a.shape) == summed + 1 for a in graph.args(node))


def _only_read_transposed(graph: Graph) -> set[int]:
    turned: set[int] = set()
    for node in reversed(list(graph)):
        movable = node.kind is Kind.ELEMENTWISE or _is_matrix_product(graph, node)
        if not movable or len(node.shape) != 2 or node.id in graph.outputs:
            continue
        users = [graph[u] for u in graph.users[node.id]]
        if users and all(u.id in turned or OPS[u.op].permutation for u in users):
            if any(u.kind is Kind.CONTRACTION for u in users):
                continue  # a product reads either order
            turned.add(node.id)
    return turned
