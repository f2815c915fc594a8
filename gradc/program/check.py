"""`step.check()`: are the gradients and the C right?

Enters: a training step. Leaves: a `CheckReport`. Always holds: the oracles share no code with what
they check: central differences of the interpreted loss in float64 for the gradients, the NumPy
meaning of the traced graph for the C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..autodiff import gradient_of
from ..dtypes import is_float
from ..interpret import interpret
from ..native.call import compile_call
from ..native.state import State
from ..trace import Traced, trace_tree
from .core import Core
from .entries import StateLeaves
from .recipe import Recipe

Array = np.ndarray[Any, Any]
PROBES = 6
STEP = 1e-6
GRADIENT_TOLERANCE = 1e-4
C_TOLERANCE = 1e-3


@dataclass(frozen=True)
class CheckRow:
    """One comparison: of what, against what, the largest error relative to the values."""

    name: str
    kind: str
    max_error: float
    ok: bool


@dataclass(frozen=True)
class CheckReport:
    """All comparisons; `ok` if every one holds."""

    rows: tuple[CheckRow, ...]

    @property
    def ok(self) -> bool:
        return all(r.ok for r in self.rows)

    def __repr__(self) -> str:
        lines = [
            f"  {'ok' if r.ok else 'WRONG':<6} {r.kind:<9} {r.name:<32} {r.max_error:.2e}"
            for r in self.rows
        ]
        return "\n".join([f"check: {'all ok' if self.ok else 'something is wrong'}", *lines])


def check_step(
    core: Core, recipe: Recipe, known: StateLeaves, traced: Traced, seed: int
) -> CheckReport:
    """See `TrainStep.check`; `traced` is the step as it was traced, over the leaves `known`."""
    rng = np.random.default_rng(seed)
    batch = _random_batch(core, recipe, rng)
    return CheckReport(
        (*_gradients(recipe, batch, rng), *_c_rows(core, recipe, known, traced, batch))
    )


def _random_batch(core: Core, recipe: Recipe, rng: np.random.Generator) -> list[Array]:
    """Normal numbers, and integers within what the step requires of them."""
    entry = core.compiled.entries[0]
    limits = {c.position: (c.lower, c.upper) for c in entry.checks}
    batch = []
    for k, spec in enumerate(recipe.specs):
        if is_float(spec.dtype):
            batch.append(rng.standard_normal(spec.shape).astype(spec.dtype))
        else:
            low, high = limits.get(k, (0, 2))
            batch.append(rng.integers(low, high, spec.shape).astype(spec.dtype))
    return batch


def _gradients(recipe: Recipe, batch: list[Array], rng: np.random.Generator) -> list[CheckRow]:
    """Directional derivatives of each parameter, with everything in float64."""
    params = {p: np.asarray(recipe.state["params"][p], np.float64) for p in recipe.trained}
    rest = {p: v for p, v in recipe.state["params"].items() if p not in params}
    wide = [x.astype(np.float64) if is_float(x.dtype) else x for x in batch]

    def loss(values: dict[str, Any], *data: Any) -> Any:
        return recipe.losses({**rest, **values}, *data)[0]

    def both(values: dict[str, Any], *data: Any) -> Any:
        found = gradient_of(loss, (values, *data), 0)
        return found.value, found.gradients

    traced = trace_tree(both, params, *wide, names=["params", *(f"x{k}" for k in range(len(wide)))])

    def run(values: dict[str, Array]) -> list[Array]:
        return interpret(traced.graph, traced.arrays([*values.values(), *wide]))

    _, *gradients = run(params)
    rows = []
    for (path, value), gradient in zip(params.items(), gradients, strict=True):
        worst = 0.0
        for _ in range(PROBES):
            direction = rng.standard_normal(value.shape)
            direction /= max(float(np.sqrt(np.sum(direction**2))), 1e-300)
            ahead = run({**params, path: value + STEP * direction})[0]
            behind = run({**params, path: value - STEP * direction})[0]
            numeric = float(ahead - behind) / (2 * STEP)
            analytic = float(np.sum(gradient * direction))
            scale = max(abs(numeric), abs(analytic), 1e-3)
            worst = max(worst, abs(numeric - analytic) / scale)
        rows.append(CheckRow(path, "gradient", worst, worst < GRADIENT_TOLERANCE))
    return rows


def _c_rows(
    core: Core, recipe: Recipe, known: StateLeaves, traced: Traced, batch: list[Array]
) -> list[CheckRow]:
    """One step in C against the interpreted graph; the state is put back afterwards."""
    state = core.state
    assert state is not None
    before = _copies(state)
    lr = [] if recipe.lr is None else [recipe.lr]
    names = [known.leaves[k].name for k in known.position]  # tied leaves repeat theirs
    expected = interpret(traced.graph, traced.arrays([*(before[n] for n in names), *batch, *lr]))
    compile_call(core.entry("step"))(*batch, *lr)
    after = _copies(state)
    for name, value in before.items():
        state[name] = value
    rows = []
    for name, want in zip(names, expected, strict=False):
        got = after[name].astype(np.float64)
        scale = max(float(np.max(np.abs(want.astype(np.float64)), initial=0.0)), 1e-3)
        error = float(np.max(np.abs(got - want), initial=0.0)) / scale
        rows.append(CheckRow(name, "C", error, error < C_TOLERANCE))
    return rows


def _copies(state: State) -> dict[str, Array]:
    with state.lock:
        return {name: np.array(view, order="C") for name, view in state.items()}
