"""Passes on loop nests: each kernel does the same before and after, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_nests import compiled
from random_nests import Arrays, arrays, draw_nest

from gradc.lower.cuts import cut_loops
from gradc.lower.execute import execute
from gradc.lower.forward import forward_stores
from gradc.lower.hoist import hoist_invariants
from gradc.lower.inplace import in_place_pairs
from gradc.lower.nest import Kernel
from gradc.lower.rename import merge_buffers
from gradc.lower.unused import without_unused

PASSES: dict[str, Callable[[Kernel], Kernel]] = {
    "cut": cut_loops,
    "hoist": hoist_invariants,
    "forward": forward_stores,
    "unused": lambda kernel: replace(kernel, body=without_unused(kernel.body)),
}


def run(kernel: Kernel, given: Arrays) -> list[list[float]]:
    found = {name: array.copy() for name, array in given.items()}
    execute(kernel, found)
    return [found[p.name].tolist() for p in kernel.params if p.written]


@pytest.mark.parametrize("name", PASSES)
def test_random_nests_do_the_same_after_a_pass(name: str):
    changed = 0
    for seed in range(300):
        kernel, given = draw_nest(seed), arrays(seed)
        made = PASSES[name](kernel)
        changed += made != kernel
        np.testing.assert_array_equal(run(made, given), run(kernel, given), f"{kernel}\n{made}")
    assert changed > 50


def test_random_nests_do_the_same_in_place():
    """What begins as the input that it is laid over ends alike, laid over it or beside it."""
    count = 0
    for seed in range(500):
        kernel, given = draw_nest(seed, apart=True), arrays(seed)
        for i, o in in_place_pairs(kernel):
            source, target = kernel.params[i].name, kernel.params[o].name
            given[target] = given[source]
            merged = merge_buffers(kernel, kernel.buffers[i], kernel.buffers[o])
            np.testing.assert_array_equal(
                sorted(run(merged, given)), sorted(run(kernel, given)), f"{kernel}\n{merged}"
            )
            count += 1
    assert count > 40


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_random_nests_are_the_same_in_c(compiler: str, tmp_path: Path):
    kernels = [draw_nest(seed, hides=False) for seed in range(30)]
    given = [arrays(seed) for seed in range(30)]
    for kernel, before, found in zip(
        kernels, given, compiled(kernels, given, tmp_path, compiler, ("-w",)), strict=True
    ):
        made = [found[p.name].tolist() for p in kernel.params if p.written]
        np.testing.assert_array_equal(made, run(kernel, before), str(kernel))
