"""Loop trees: how statements are arranged, which are fused, and what must hold of every tree."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from nests import compare, lowered
from random_graphs import draw_case

import gradc as gd
from gradc.lower.listing import listing
from gradc.passes.anchors import is_computed
from gradc.passes.arrange import arrange
from gradc.passes.check_tree import check_tree
from gradc.passes.fuse import Group, fuse
from gradc.passes.homes import homes
from gradc.passes.materialise import materialise
from gradc.passes.simplify import simplify
from gradc.passes.squeeze import squeeze_units
from gradc.passes.statements import Statements
from gradc.passes.tree import Leaf, Loop, TileLoop, Tree
from gradc.trace import trace_tree

RNG = np.random.default_rng(0)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def groups_of(fn, *args: np.ndarray) -> list[Group]:
    return lowered(trace_tree(fn, *args).graph).groups


def shape_of(tree: Tree) -> str:
    """The loops of a tree without the numbers of nodes: `4(8(fold) value)`."""

    def text(items) -> str:
        parts = []
        for item in items:
            if isinstance(item, Loop):
                parts.append(f"{tree.extent[item.axis]}({text(item.body)})")
            elif isinstance(item, TileLoop):
                extents = "x".join(str(tree.extent[a]) for a in item.axes)
                parts.append(f"tile {extents} + {len(item.values)}")
            else:
                parts.append(tree.statements[item.node].role.value)
        return " ".join(parts)

    return text(tree.items)


# How kernels are arranged


def softmax(s):
    e = gd.exp(s - gd.max(s, axis=-1, keepdims=True))
    return e / gd.sum(e, axis=-1, keepdims=True)


def attention(q, k, v):
    return softmax(q @ gd.swapaxes(k, -1, -2) * 0.125) @ v


def normed(x, scale, shift):
    c = x - gd.mean(x, axis=-1, keepdims=True)
    return c / gd.sqrt(gd.mean(c * c, axis=-1, keepdims=True) + 1e-5) * scale + shift


def square_sum(fn):
    return gd.value_and_grad(lambda *args: gd.sum(fn(*args) ** 2), argnums=(0, 1, 2))


HEADS = [numbers(2, 3, 16, 8) for _ in range(3)]
ROWS = numbers(24, 40), numbers(40), numbers(40)

ARRANGED = {
    "rows of a softmax": (softmax, [numbers(6, 40)], ["6(40(fold) 40(value fold) 40(value))"]),
    "heads of an attention": (
        attention, HEADS,
        ["2(3(tile 16x16 + 1 16(16(fold) 16(value fold) 16(value)) tile 16x8 + 0))"],
    ),
    "layer norm": (normed, ROWS, ["24(40(fold) value 40(fold) value 40(value))"]),
    "a sum of columns beside one of all": (
        lambda x: (gd.sum(x, axis=0), gd.sum(x * x)), [numbers(24, 40)], ["24(40(fold fold))"]
    ),
    "8 sums of one array": (
        lambda x: [gd.sum(x * k) for k in range(1, 9)], [numbers(24, 40)],
        [f"24(40({' '.join(['fold'] * 8)}))"],
    ),
    "a product with what is done to it": (
        lambda x, w, b: gd.relu(x @ w + b), [numbers(24, 16), numbers(16, 40), numbers(40)],
        ["tile 24x40 + 1"],
    ),
    "a bias gradient in the tile": (
        lambda g, w, h: (d := gd.where(h > 0, g @ w, 0), gd.sum(d, axis=0)),
        [numbers(24, 16), numbers(16, 40), numbers(24, 40)], ["tile 24x40 + 2"],
    ),
    "an outer sum is not stored": (
        gd.grad(lambda a, b: gd.sum(gd.tanh(a[:, None] + b[None, :])), argnums=(0, 1)),
        [numbers(24), numbers(40)], ["24(40(value fold fold))"],
    ),
    "one comparison that two sums make": (
        lambda x, y: (gd.sum(gd.where(gd.equal(y[:, None], gd.arange(5)), x, 0)),
                      gd.sum(gd.where(gd.equal(y[:, None], gd.arange(5)), 1.0, 0), axis=1)),
        [numbers(4, 5), np.arange(4, dtype=np.int64)], ["4(5(fold fold))"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRANGED)
def test_how_a_program_is_arranged(name):
    fn, args, expected = ARRANGED[name]
    assert [shape_of(g.tree) for g in groups_of(fn, *args)] == expected


def test_layer_norm_with_its_gradient_is_one_kernel_of_five_sweeps():
    (group,) = groups_of(square_sum(normed), *ROWS)
    (rows,) = (item for item in group.tree.items if isinstance(item, Loop))
    assert sum(isinstance(item, Loop) for item in rows.body) == 5


def test_attention_with_its_gradient_shares_the_loops_over_heads():
    (group,) = groups_of(square_sum(attention), *HEADS)
    assert shape_of(group.tree).startswith("2(3(tile 16x16")
    assert shape_of(group.tree).count("tile") == 6


def test_a_tree_prints_its_loops():
    (group,) = groups_of(softmax, numbers(6, 40))
    assert [line.split("#")[0] for line in str(group.tree).splitlines()] == [
        "loop a0 < 6", "    loop a1 < 40", "        fold ", "    loop a1 < 40",
        "        value ", "        fold ", "    loop a1 < 40", "        value ",
    ]  # fmt: skip


# How many kernels there are


def mlp(layers: int):
    weights = [numbers(64, 64) * 0.1 for _ in range(layers)]

    def loss(weights, x):
        for w in weights:
            x = gd.relu(x @ w)
        return gd.mean(x**2)

    def step(weights, x):
        value, grads = gd.value_and_grad(loss)(weights, x)
        return value, [w - 0.1 * g for w, g in zip(weights, grads, strict=True)]

    return step, weights, numbers(32, 64)


def test_a_layer_is_its_three_products():
    """What fits the second-level cache is not all merged for that."""
    assert len(groups_of(*mlp(6))) == 3 * 6 - 1


@pytest.mark.parametrize(
    ("fn", "shape", "most"),
    [
        (lambda x: [gd.sin(x) * k for k in range(60)], (8, 8), 4),
        (lambda x: [gd.sum(x * k) for k in range(60)], (8, 8), 4),
    ],
)
def test_many_readers_of_one_value_share_their_loops(fn, shape, most):
    assert len(groups_of(fn, numbers(*shape))) <= most


def test_the_same_graph_has_the_same_groups():
    graph = lowered(trace_tree(*mlp(3)).graph).graph
    assert [g.nodes for g in fuse(graph)] == [g.nodes for g in fuse(graph)]


def test_without_fusion_every_node_is_a_kernel():
    graph = trace_tree(softmax, numbers(6, 40)).graph
    groups = lowered(graph, fusion=False).groups
    assert all(len(g.tree.statements) == 1 for g in groups)


# What has gone wrong once, or might

RIGHT = {
    "one value read from two sides": (lambda x: x + x.T, numbers(20, 20)),
    "rows are columns too": (lambda x: attention(x, x, x), numbers(20, 16)),
    "differences of all pairs": (lambda a: gd.sum((a[:, None] - a[None, :]) ** 2), numbers(40)),
    "a row's loop beside a folded one": (lambda x: (gd.sum(x, axis=1), x * 2), numbers(5, 40)),
    "a sum of columns beside the elements": (
        lambda x: (gd.sum(x, axis=0), x * 2), numbers(5, 40)
    ),
    "a rest behind the lanes": (lambda x: (softmax(x), gd.sum(x)), numbers(3, 37)),
    "sums of rows, and of those all": (lambda x: gd.sum(gd.exp(gd.sum(x, axis=1))), numbers(7, 5)),
    "a sum as a factor": (
        lambda x, w: gd.sum(x, axis=1) @ w, numbers(8, 40, 16), numbers(16, 24)
    ),
    "elements that only a product reads": (
        lambda x, w: (gd.exp(x) @ w, gd.sum(gd.exp(x), axis=1)), numbers(16, 24), numbers(24, 32)
    ),
    "the place of the greatest sum": (
        lambda x, w: gd.argmax(x @ w, axis=1), numbers(16, 24), numbers(24, 32)
    ),
    "places along both axes": (
        lambda x: (gd.argmax(x, axis=0), gd.argmin(x, axis=1)), numbers(6, 8)
    ),
    "a place in rows that were cut": (
        lambda x: (gd.argmax(x.reshape(6, 20), axis=1), gd.sum(x, axis=2)), numbers(6, 4, 5)
    ),
    "a sum over what a reshape joined": (
        lambda x: (gd.sum(x.reshape(24, 5), axis=0), x * 2), numbers(4, 6, 5)
    ),
    "a reshape that lines up nowhere": (
        lambda x: gd.sum(gd.exp(x).reshape(9, 4) * 2, axis=1), numbers(4, 9)
    ),
    "nothing to fold": (lambda x: (gd.sum(x, axis=1), gd.sum(x)), numbers(4, 0)),
    "no rows": (lambda x: softmax(x), numbers(0, 8)),
    "all sums of a product": (
        lambda x, w: (gd.sum(y := x @ w), gd.sum(y, axis=0), gd.max(y)),
        numbers(40, 24), numbers(24, 37),
    ),
    "all sums of a product of whole numbers": (
        lambda x, w: gd.sum((x @ w).astype("int32"), axis=0),
        np.arange(24).reshape(6, 4), np.arange(20).reshape(4, 5),
    ),
    "sums of many products of heads": (
        lambda q, k: gd.sum(gd.exp(0.1 * (q @ k)), axis=(0, 1)),
        numbers(3, 40, 8), numbers(3, 8, 16),
    ),
    "one element beside the lanes of every row": (
        lambda x: (gd.min(x * 2), gd.sum(x, axis=1), gd.sum(x)), numbers(5, 33)
    ),
    "loops of one length behind one another": (
        lambda x, w, b: gd.broadcast_to(
            gd.minimum(b, gd.tensordot(x, w, axes=((0,), (1,))))[:, None], (3, 5)
        ),
        np.arange(5), np.arange(15).reshape(3, 5), np.arange(3),
    ),
    "the first rows of an array": (
        lambda x: x + gd.concat((x[4:], x[:4]), axis=0), numbers(12, 12, 3)
    ),
    "a tall column of sums in tiles": (
        lambda x, w: gd.sum(x @ w, axis=0), numbers(600, 8), numbers(8, 16)
    ),
}  # fmt: skip


@pytest.mark.parametrize("target", ["avx512", "scalar"])
@pytest.mark.parametrize("name", RIGHT)
def test_its_loops_compute_what_the_graph_means(name, target):
    fn, *args = RIGHT[name]
    compare(fn, *args, target=target)


def test_a_comparison_is_made_anew_rather_than_kept_among_floats():
    def program(x):
        mask = x > 0
        return softmax(gd.where(mask, x, 0)), gd.sum(gd.where(mask, 1.0, 0.0))

    for kernel in lowered(trace_tree(program, numbers(6, 40)).graph).kernels:
        assert "bool[" not in listing(kernel)


# What must hold of every tree


def prepared(seed: int):
    graph = squeeze_units(simplify(draw_case(f"tree {seed}", 14).graph))
    graph = simplify(graph)
    return materialise(graph, [None] * len(graph.outputs))


@pytest.mark.parametrize("seed", range(60))
def test_any_set_of_statements_can_be_arranged(seed):
    graph = prepared(seed)
    nodes = [n.id for n in graph if is_computed(n)]
    statements = Statements(graph, nodes)
    draw = random.Random(seed)
    for _ in range(4):
        first = draw.randrange(len(nodes)) if nodes else 0
        chosen = nodes[first : first + draw.randrange(1, 16)]
        tree = arrange(graph, [statements(n) for n in chosen])
        if tree is not None:
            stored = frozenset(n for n in chosen if draw.random() < 0.5)
            check_tree(tree, stored, homes(tree, stored))


def broken(tree: Tree):
    """Trees that are wrong, with what the checker has to say."""
    (rows,) = tree.items
    assert isinstance(rows, Loop)
    first, *others = rows.body
    late = replace(tree, items=(Loop(rows.axis, (*others, first)),))
    yield late, "before it is computed"
    yield replace(tree, items=(Loop(rows.axis, tuple(others)),)), "are not computed|before it"
    yield replace(tree, items=(*tree.items, *tree.items)), "computed twice"
    assert isinstance(first, Loop)
    assert isinstance(others[0], Loop)
    joined = Loop(first.axis, (*first.body, *others[0].body))
    yield replace(tree, items=(Loop(rows.axis, (joined, *others[1:])),)), "while it is folded"
    (leaf,) = first.body
    assert isinstance(leaf, Leaf)
    yield replace(tree, items=(Loop(rows.axis, (leaf, *others)),)), "loops over its own axes"


def test_the_checker_finds_what_is_wrong():
    (group,) = groups_of(softmax, numbers(6, 40))
    stored = frozenset(group.stored)
    for tree, message in broken(group.tree):
        with pytest.raises(AssertionError, match=message):
            check_tree(tree, stored, homes(group.tree, stored))


def test_the_checker_looks_at_homes():
    (group,) = groups_of(softmax, numbers(6, 40))
    stored = frozenset(group.stored)
    places = homes(group.tree, stored)
    (kept,) = (n for n, home in places.items() if home.kept)
    for wrong in (replace(places[kept], kept=None), replace(places[kept], kept=())):
        with pytest.raises(AssertionError, match=rf"register of #{kept}|array of #{kept}"):
            check_tree(group.tree, stored, {**places, kept: wrong})


def test_an_operand_of_a_product_needs_an_array():
    (group,) = groups_of(attention, *HEADS)
    stored = frozenset(group.stored)
    places = homes(group.tree, stored)
    (factor,) = {
        r.source
        for s in group.tree.statements.values()
        for r in s.reads
        if s.product is not None and r.source in places
    }
    assert places[factor].kept
    with pytest.raises(AssertionError, match="in no array"):
        check_tree(group.tree, stored, {**places, factor: replace(places[factor], kept=None)})
