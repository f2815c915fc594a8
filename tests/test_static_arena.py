"""A static arena and state, as on a microcontroller: objects with declared types, and all of the C
before the compiler's eyes, so that what C says of aliasing decides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import Update, compile_graphs, compile_updates
from random_graphs import draw_case, draw_update
from sanitized import NATIVE, run_in_static_memory
from test_sanitizers import check_update

import gradc as gd

WAYS = [("gcc", "native"), ("clang", "native"), ("gcc", "portable"), ("clang", "portable")]
CASES = 30


def flags(target: str) -> tuple[str, ...]:
    return (NATIVE,) if target == "native" else ()


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_random_graphs(compiler: str, target: str, tmp_path: Path) -> None:
    cases = {f"g{k}": draw_case(f"static {target} {k}", 16) for k in range(CASES)}
    core = compile_graphs({n: c.graph for n, c in cases.items()}, "still", target=target)
    inputs = [a for case in cases.values() for a in case.inputs]
    found = run_in_static_memory(core, inputs, compiler, flags(target), tmp_path)
    for case, outputs in zip(cases.values(), found, strict=True):
        case.check_outputs(outputs, f"{compiler}, {target}")


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_random_updates(compiler: str, target: str, tmp_path: Path) -> None:
    cases = {f"u{k}": draw_update(f"static {target} {k}", 6) for k in range(CASES)}
    named = {n: Update(c.graph, c.inputs[: c.leaves], c.replaced) for n, c in cases.items()}
    core = compile_updates(named, "still", target=target)
    inputs = [a for case in cases.values() for a in case.inputs[case.leaves :]]
    found = run_in_static_memory(core, inputs, compiler, flags(target), tmp_path)
    for (name, case), outputs in zip(cases.items(), found, strict=True):
        check_update(case, name, core, outputs)


def mixed(x: Any) -> dict[str, Any]:
    """Floats of both widths, integers and bools, each of which must be kept, one after another."""
    above = x @ x.T > 0
    places = gd.argmax(x, axis=1)
    wide = gd.astype(x, gd.f64) @ gd.astype(x.T, gd.f64)
    chosen = gd.where(above, wide, gd.astype(places, gd.f64)[:, None])
    total = gd.sum(chosen @ chosen, axis=0)
    counts = gd.sum(gd.astype(above, np.int32), axis=0)
    return {"total": total, "counts": counts * counts[::-1], "product": (x @ x.T) @ (x + 1)}


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_bytes_that_are_of_several_types_in_turn(
    compiler: str, target: str, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=(33, 33)).astype(np.float32)
    core = compile_graphs({"mixed": gd.trace(mixed, gd.f32[33, 33])}, "still", target=target)
    ((total, counts, product),) = run_in_static_memory(core, [x], compiler, flags(target), tmp_path)
    assert "union still_arena" in core.compiled.emitted.header
    expected = mixed(x)
    np.testing.assert_allclose(total, expected["total"], rtol=1e-6)
    np.testing.assert_array_equal(counts, expected["counts"])
    np.testing.assert_allclose(product, expected["product"], rtol=1e-3, atol=1e-3)
