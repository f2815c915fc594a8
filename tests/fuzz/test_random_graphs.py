"""Random graphs: NumPy, the interpreter and the C agree, with and without passes, on every target.

A C program holds several graphs, each twice: fused, and with every node a kernel of its own. Of
what fails hypothesis finds the shortest beginning that does: a graph is drawn step by step from a
seed. `draw_case` and `draw_update` say what graphs are made of.
"""

from __future__ import annotations

import numpy as np
import pytest
from compiled import Update, call, compile_graphs, compile_updates
from drawing import Choices
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import draw_case, draw_update

from gradc.interpret import interpret
from gradc.passes.layout import apply_layouts
from gradc.passes.materialise import materialise
from gradc.passes.simplify import simplify

TARGETS = ("native", "portable", "avx2", "sse")
FLAGS = ("-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
GRAPHS, UPDATES = 10, 12
"""Graphs to a C program."""


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=300)
@given(SEEDS, st.integers(1, 40))
def test_passes_keep_the_meaning(seed: int, steps: int):
    case = draw_case(seed, steps)
    case.check_outputs(interpret(case.graph, case.inputs), "interpreter")
    simple = simplify(case.graph)
    case.check_outputs(interpret(simple, case.inputs), "simplified")
    turned = apply_layouts(simple, frozenset(), {})
    case.check_outputs(interpret(turned, case.inputs), "laid out")
    case.check_outputs(
        interpret(materialise(turned, [None] * len(turned.outputs)), case.inputs), "materialised"
    )


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=16)
@given(SEEDS, st.integers(1, 30))
def test_the_c_computes_what_numpy_does(target: str, seed: int, steps: int):
    cases = [draw_case(f"{seed} {k}", steps) for k in range(GRAPHS)]
    fused = {f"fused_{k}": c.graph for k, c in enumerate(cases)}
    plain = {f"plain_{k}": c.graph for k, c in enumerate(cases)}
    core = compile_graphs(fused | plain, target=target, unfused=plain, cflags=FLAGS)
    for k, case in enumerate(cases):
        for form in ("fused", "plain"):
            case.check_outputs(call(core, f"{form}_{k}", case.inputs), f"C, {form}")


@pytest.mark.parametrize("target", TARGETS[:2])
@settings(max_examples=16)
@given(SEEDS, st.integers(0, 12))
def test_a_new_state_takes_the_place_of_the_old(target: str, seed: int, steps: int):
    """Whatever reads the old state and whatever the new one, and however matrices are stored."""
    cases = [draw_update(f"{seed} {k}", steps) for k in range(UPDATES)]
    named = {
        f"{form}_{k}": (case, Update(case.graph, case.inputs[: case.leaves], case.replaced))
        for k, case in enumerate(cases)
        for form in ("fused", "plain")
    }
    leaves = [leaf for _, update in named.values() for leaf in update.state]
    choices = Choices(seed)
    layouts = frozenset(k for k, a in enumerate(leaves) if a.ndim == 2 and choices.draw(2))
    core = compile_updates(
        {name: update for name, (_, update) in named.items()},
        target=target,
        unfused=[name for name in named if name.startswith("plain")],
        layouts=layouts,
        cflags=FLAGS,
    )
    for name, (case, update) in named.items():
        state = [core.state[f"{name}.{k}"] for k in range(case.leaves)]
        results = call(core, name, case.inputs[case.leaves :])
        new = [np.array(state[k]) for k in case.replaced]
        case.check_outputs(new + results, f"C, {name}")
        for k in set(range(case.leaves)) - set(case.replaced):
            np.testing.assert_array_equal(state[k], update.state[k], "a leaf that is not replaced")
