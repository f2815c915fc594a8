"""Generated C under the sanitizers: random graphs and updates, corners, integers at their ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import Update, compile_graphs, compile_updates
from drawing import Array, Case
from random_graphs import draw_case, draw_update
from sanitized import TARGETS, poisoned_arena, run_sanitized
from test_c_corners import CASES as CORNERS
from test_c_corners import outputs_of
from test_c_ops import CASES as OPS
from test_c_ops import graph_of

import gradc as gd
from gradc.interpret import interpret
from gradc.program.core import Core

CASES = 40
UPDATES = 40
WAYS = [("gcc", "native"), ("clang", "avx2"), ("clang", "sse"), ("gcc", "portable")]


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_random_graphs(compiler: str, target: str, tmp_path: Path):
    cases = {f"g{k}": draw_case(f"sanitized {target} {k}", 14) for k in range(CASES)}
    with poisoned_arena():
        core = compile_graphs({n: c.graph for n, c in cases.items()}, "clean", target=target)
    inputs = [a for case in cases.values() for a in case.inputs]
    found = run_sanitized(core, inputs, compiler, TARGETS[target], tmp_path)
    for case, outputs in zip(cases.values(), found, strict=True):
        case.check_outputs(outputs, f"{compiler}, {target}")


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_random_updates(compiler: str, target: str, tmp_path: Path):
    cases = {f"u{k}": draw_update(f"sanitized {target} {k}", 5) for k in range(UPDATES)}
    named = {n: Update(c.graph, c.inputs[: c.leaves], c.replaced) for n, c in cases.items()}
    with poisoned_arena():
        core = compile_updates(named, "clean", target=target)
    inputs = [a for case in cases.values() for a in case.inputs[case.leaves :]]
    found = run_sanitized(core, inputs, compiler, TARGETS[target], tmp_path)
    for (name, case), outputs in zip(cases.items(), found, strict=True):
        check_update(case, name, core, outputs)


def check_update(case: Case, name: str, core: Core, outputs: list[Array]) -> None:
    assert core.state is not None
    new = [np.array(core.state[f"{name}.{k}"]) for k in case.replaced]
    case.check_outputs(new + outputs, name)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_corners(compiler: str, tmp_path: Path):
    graphs = {name: gd.trace(fn, *args) for name, (fn, args) in CORNERS.items()}
    core = compile_graphs(graphs, "clean", target="avx2")
    inputs = [np.asarray(a) for _, args in CORNERS.values() for a in args]
    found = run_sanitized(core, inputs, compiler, TARGETS["avx2"], tmp_path)
    for (name, (fn, args)), outputs in zip(CORNERS.items(), found, strict=True):
        for k, (got, want) in enumerate(zip(outputs, outputs_of(fn, args), strict=True)):
            np.testing.assert_array_equal(got, want, f"{name}, output {k}")


def integer_ops() -> dict[str, tuple[Any, tuple[Array, ...]]]:
    """The rows of the op table on integers, whose samples go to the ends of their ranges."""
    found = {}
    for name, (row, sample) in OPS.items():
        if sample.args and all(a.dtype.kind in "iu" for a in sample.args):
            found[name] = (graph_of(row, sample.args, sample.attrs), sample.args)
    return found


def test_integers_do_not_overflow(tmp_path: Path):
    """Signed arithmetic wraps in the table's meaning; in C it is computed unsigned."""
    ops = integer_ops()
    core = compile_graphs({name: graph for name, (graph, _) in ops.items()}, "clean", target="sse")
    inputs = [a for _, args in ops.values() for a in args]
    found = run_sanitized(core, inputs, "clang", (), tmp_path)
    for (name, (graph, args)), outputs in zip(ops.items(), found, strict=True):
        for got, want in zip(outputs, interpret(graph, args), strict=True):
            np.testing.assert_array_equal(got, want, name)
