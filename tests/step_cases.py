"""Plans of loops, branches and guards, made by hand of kernels lowered from small functions.

Enters: nothing. Leaves: `CASES`, each a planned block with arguments and what it should make of
them. Always holds: arguments and results are numbered as an entry point has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from nests import kernels_of

from gradc.dtypes import BOOL, F32
from gradc.index import Index, Var, at
from gradc.lower.nest import Kernel
from gradc.plan.bind import bind
from gradc.plan.buffers import Array, Buffer, Value, View
from gradc.plan.order import Task
from gradc.plan.outline import Action, Outline
from gradc.plan.steps import Block, Branch, Copy, Guard, Repeat

STEPS, WIDTH = 5, 8
RNG = np.random.default_rng(3)


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def kernel(fn: Callable[..., Any], reads: Sequence[int], write: int, *examples: Any) -> Kernel:
    """The one kernel of a function, which reads these values and makes that one."""
    (found,) = kernels_of(fn, *(np.asarray(x) for x in examples), target="scalar")
    inputs = sorted(b for b, p in zip(found.buffers, found.params, strict=True) if not p.written)
    named = dict(zip(inputs, reads, strict=True))
    params = tuple(replace(p, scalar=False) for p in found.params)
    buffers = tuple(named.get(b, write) for b in found.buffers)
    return replace(found, params=params, buffers=buffers)


@dataclass
class Plan:
    """A block under construction: each thing to be done with the values it reads and makes."""

    inputs: dict[Value, Array]
    outputs: dict[Value, Array]

    def __post_init__(self) -> None:
        self.arrays: dict[Value, Array] = dict(self.inputs)
        self.tasks: list[Task] = []
        self.actions: list[Action] = []

    def add(self, action: Action, reads: Sequence[Value], writes: Mapping[Value, Array]) -> None:
        self.tasks.append(Task(len(self.tasks), tuple(reads), tuple(writes)))
        self.actions.append(action)
        self.arrays |= writes

    def block(self) -> Block:
        outline = Outline(tuple(self.tasks), self.arrays, self.inputs, self.outputs)
        return bind(outline, self.actions)


def temporary(name: str, *shape: int) -> Buffer:
    return Buffer(name, F32, shape)


def argument(name: str, number: int, *shape: int, dtype: Any = F32) -> Buffer:
    return Buffer(name, dtype, shape, "argument", number)


def result(name: str, number: int, *shape: int) -> Buffer:
    return Buffer(name, F32, shape, "output", number)


# A recurrent cell: h' = tanh(h @ w + x[t]), y[t] = h' + x[t]


X, W, H, Z, NEW, Y = range(6)


def cell(h: Array, w: Array, x: Array, last: Array, y: Array, *, direct: bool) -> Block:
    """One turn of the cell, from its arrays outside; `direct`: in one kernel."""
    v, m = np.ones(WIDTH, np.float32), np.ones((WIDTH, WIDTH), np.float32)
    plan, new = Plan({X: x, W: w, H: h}, {NEW: last, Y: y}), {NEW: temporary("h_new", WIDTH)}
    if direct:
        whole = kernel(lambda h, w, x: np.tanh(h @ w + x), (H, W, X), NEW, v, m, v)
        plan.add(whole, (H, W, X), new)
    else:
        plan.add(kernel(lambda h, w: h @ w, (H, W), Z, v, m), (H, W), {Z: temporary("z", WIDTH)})
        plan.add(kernel(lambda z, x: np.tanh(z + x), (Z, X), NEW, v, v), (Z, X), new)
    plan.add(kernel(lambda h, x: h + x, (NEW, X), Y, v, v), (NEW, X), {Y: temporary("y", WIDTH)})
    return plan.block()


@dataclass
class Case:
    """A block and what it should give: arrays of its arguments, expected results."""

    block: Block
    args: Sequence[tuple[Buffer, np.ndarray[Any, Any]]]
    results: Sequence[tuple[Buffer, np.ndarray[Any, Any]]]


def recurrent(*, reverse: bool = False, own_start: bool = False, direct: bool = False) -> Case:
    """The cell over scaled inputs, its results doubled; `own_start`: h0 is computed, too."""
    xs, w, h0 = (
        argument("xs", 0, STEPS, WIDTH),
        argument("w", 1, WIDTH, WIDTH),
        argument("h0", 2, WIDTH),
    )
    last, out = result("last", 0, WIDTH), result("out", 1, STEPS, WIDTH)
    vxs, vw, vh0, vscaled, vlast, vys, vout = range(10, 17)
    plan = Plan({vxs: xs, vw: w, vh0: h0}, {vlast: last, vout: out})
    rows = np.ones((STEPS, WIDTH), np.float32)
    scaled, ys, h = (
        temporary("scaled", STEPS, WIDTH),
        temporary("ys", STEPS, WIDTH),
        temporary("h", WIDTH),
    )
    plan.add(kernel(lambda x: x * 0.5, (vxs,), vscaled, rows), (vxs,), {vscaled: scaled})
    first = vh0
    if own_start:
        first = 17
        begin = kernel(lambda h: h * 3, (vh0,), first, np.ones(WIDTH, np.float32))
        plan.add(begin, (vh0,), {first: temporary("begin", WIDTH)})
        plan.outputs = {vout: out}  # h dies in the loop: it can lie over what it begins with
    t = Var("t", STEPS)
    at_t = at(t) * WIDTH
    body = cell(h, w, View(scaled, at_t, (WIDTH,)), h, View(ys, at_t, (WIDTH,)), direct=direct)
    start = Copy(plan.arrays[first], h, first)
    loop = Repeat(
        t, body, {X: vscaled, W: vw, H: first}, {H: NEW}, reverse=reverse, starts=(start,)
    )
    plan.add(loop, (vscaled, vw, first), {vlast: h, vys: ys})
    plan.add(
        kernel(lambda y: y * 2, (vys,), vout, rows), (vys,), {vout: temporary("out", STEPS, WIDTH)}
    )
    given = [floats(STEPS, WIDTH), floats(WIDTH, WIDTH) / 3, floats(WIDTH)]
    state, made = given[2] * (3 if own_start else 1), np.zeros((STEPS, WIDTH), np.float32)
    for k in reversed(range(STEPS)) if reverse else range(STEPS):
        x = given[0][k] * np.float32(0.5)
        state = np.tanh(state @ given[1] + x)
        made[k] = 2 * (state + x)
    results = [(last, state), (out, made)]
    if own_start:
        results = [(replace(out, number=0), made)]
        plan.outputs = {vout: results[0][0]}
    return Case(plan.block(), list(zip((xs, w, h0), given, strict=True)), results)


def history() -> Case:
    """A carry that lives in the stack of its values: turn t reads row t and writes row t + 1."""
    xs, h0, out = (
        argument("xs", 0, STEPS, WIDTH),
        argument("h0", 1, WIDTH),
        result("out", 0, STEPS + 1, WIDTH),
    )
    vxs, vh0, vout = 10, 11, 12
    plan = Plan({vxs: xs, vh0: h0}, {vout: out})
    t, row = Var("t", STEPS), np.ones(WIDTH, np.float32)
    stack = temporary("out", STEPS + 1, WIDTH)
    here, there = (View(stack, at(t) * WIDTH + k, (WIDTH,)) for k in (0, WIDTH))
    body = Plan({X: View(xs, at(t) * WIDTH, (WIDTH,)), H: here}, {NEW: there})
    step = kernel(lambda h, x: np.tanh(h - x), (H, X), NEW, row, row)
    body.add(step, (H, X), {NEW: temporary("h_new", WIDTH)})
    start = Copy(h0, View(stack, Index(), (WIDTH,)), vh0)
    loop = Repeat(t, body.block(), {X: vxs, H: vh0}, {H: NEW}, starts=(start,))
    plan.add(loop, (vxs, vh0), {vout: stack})
    given, made = [floats(STEPS, WIDTH), floats(WIDTH)], np.zeros((STEPS + 1, WIDTH), np.float32)
    made[0] = given[1]
    for k in range(STEPS):
        made[k + 1] = np.tanh(made[k] - given[0][k])
    return Case(plan.block(), list(zip((xs, h0), given, strict=True)), [(out, made)])


def nested_loops() -> Case:
    """A loop in a loop: rows of a table, each scaled twice over a temporary."""
    xs, out = argument("xs", 0, STEPS, 3, WIDTH), result("out", 0, STEPS, 3, WIDTH)
    i, j, row = Var("i", STEPS), Var("j", 3), np.ones(WIDTH, np.float32)
    vxs, vout = 10, 11
    made = temporary("out", STEPS, 3, WIDTH)
    where = at(i) * (3 * WIDTH) + at(j) * WIDTH
    inner = Plan({X: View(xs, where, (WIDTH,))}, {Y: View(made, where, (WIDTH,))})
    inner.add(kernel(lambda x: x[::-1] * 2, (X,), Z, row), (X,), {Z: temporary("z", WIDTH)})
    inner.add(kernel(lambda z: z[::-1] + 1, (Z,), Y, row), (Z,), {Y: temporary("y", WIDTH)})
    line = (3 * WIDTH,)
    outer = Plan(
        {20: View(xs, at(i) * (3 * WIDTH), line)}, {21: View(made, at(i) * (3 * WIDTH), line)}
    )
    outer.add(Repeat(j, inner.block(), {X: 20}), (20,), {21: outer.outputs[21]})
    plan = Plan({vxs: xs}, {vout: out})
    plan.add(Repeat(i, outer.block(), {20: vxs}), (vxs,), {vout: made})
    given = floats(STEPS, 3, WIDTH)
    return Case(plan.block(), [(xs, given)], [(out, given * 2 + 1)])


def branching(taken: bool) -> Case:
    """Two ways to one result, each with a temporary of its own."""
    x, test, out = (
        argument("x", 0, WIDTH),
        argument("test", 1, 1, dtype=BOOL),
        result("out", 0, WIDTH),
    )
    vx, vtest, vout, row = 10, 11, 12, np.ones(WIDTH, np.float32)
    plan, made = Plan({vx: x, vtest: test}, {vout: out}), temporary("out", WIDTH)
    sides = []
    for factor in (2.0, 5.0):
        side = Plan({X: x}, {Y: made})
        side.add(
            kernel(lambda x, k=factor: x[::-1] * k, (X,), Z, row), (X,), {Z: temporary("z", WIDTH)}
        )
        side.add(kernel(lambda z: z[::-1] - 1, (Z,), Y, row), (Z,), {Y: temporary("y", WIDTH)})
        sides.append(side.block())
    plan.add(Branch(test, (sides[0], sides[1]), {X: vx}), (vtest, vx), {vout: made})
    given = [floats(WIDTH), np.array([taken])]
    expected = given[0] * (2 if taken else 5) - 1
    return Case(plan.block(), list(zip((x, test), given, strict=True)), [(out, expected)])


def guarded(fault: bool = False) -> Case:
    """A result, and another that is known before it is known whether there may be any."""
    x, out, early = argument("x", 0, WIDTH), result("out", 0, WIDTH), result("early", 1, WIDTH)
    vx, vout, vearly, vfault, row = 10, 11, 12, 13, np.ones(WIDTH, np.float32)
    plan = Plan({vx: x}, {vearly: early, vout: out})
    plan.add(
        kernel(lambda x: x[::-1] * 2, (vx,), vearly, row), (vx,), {vearly: temporary("e", WIDTH)}
    )
    found = Buffer("fault", BOOL, (1,))
    plan.add(
        kernel(lambda e: (e > 100).sum(keepdims=True) > 0, (vearly,), vfault, row), (vearly,),
        {vfault: found},
    )  # fmt: skip
    plan.add(Guard(found, "index", 0, 7), (vfault,), {})
    plan.add(
        kernel(lambda e: e + 1, (vearly,), vout, row), (vearly,), {vout: temporary("o", WIDTH)}
    )
    given = floats(WIDTH) + (200 if fault else 0)
    return Case(plan.block(), [(x, given)], [(out, given[::-1] * 2 + 1), (early, given[::-1] * 2)])


CASES: dict[str, Callable[[], Case]] = {
    "loop": recurrent,
    "loop backwards": lambda: recurrent(reverse=True),
    "loop over what it begins with": lambda: recurrent(own_start=True),
    "history": history,
    "loop in a loop": nested_loops,
    "branch taken": lambda: branching(True),
    "branch not taken": lambda: branching(False),
    "guard": guarded,
}
