"""Random plans of kernels, loops, loops in loops and branches, against what their values mean."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import pytest
from blocks import run_block
from step_cases import Plan, kernel

from gradc.dtypes import BOOL, F32
from gradc.index import Var, at
from gradc.lower.nest import Kernel
from gradc.plan.buffers import Array, Buffer, View
from gradc.plan.steps import Block, Branch, Copy, Repeat, Run, walk

TURNS, WIDTH = 4, 3
Row = np.ndarray[Any, Any]
Env = dict[int, Any]

KERNELS: dict[str, tuple[int, Callable[..., Any]]] = {
    "in place": (1, lambda a: np.tanh(a)),
    "turned round": (1, lambda a: a[::-1] * 0.5 + 1),
    "added": (2, lambda a, b: a + b * 0.25),
    "added turned round": (2, lambda a, b: a - b[::-1] * 0.5),
}


@cache
def lowered(name: str) -> Kernel:
    arity, fn = KERNELS[name]
    return kernel(fn, range(arity), arity, *[np.ones(WIDTH, np.float32)] * arity)


def kernel_of(name: str, reads: list[int], write: int) -> Kernel:
    return replace(lowered(name), buffers=tuple([*reads, write][b] for b in lowered(name).buffers))


@dataclass
class Made:
    """A block, and what its values are for given ones, computed in the order of its tasks."""

    block: Block
    evaluate: Callable[[Env], Env]


class Maker:
    """Makes blocks; numbers every value of every block once."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.numbers = count()

    def some(self, most: int, least: int = 1) -> range:
        return range(self.random.randint(least, most))

    def block(
        self, inputs: Mapping[int, Array], targets: list[Array], depth: int
    ) -> tuple[Made, list[int]]:
        """A block whose outputs lie in `targets`, some of which may be those of inputs."""
        plan = Plan(dict(inputs), {})
        rows = [v for v, a in inputs.items() if a.shape == (WIDTH,)]
        stacks = [v for v, a in inputs.items() if a.shape == (TURNS, WIDTH)]
        work: list[Callable[[Env], None]] = []
        made: list[int] = []
        tested = any(a.dtype == BOOL for a in inputs.values())
        kinds = [*["kernel"] * 3, *["loop"] * (depth > 0), *["branch"] * (depth > 0 and tested)]
        while len(made) < len(targets) or self.random.random() < 0.6:
            match self.random.choice(kinds):
                case "loop":
                    rows_made = self.loop(plan, rows, stacks, work, depth)
                case "branch":
                    rows_made = self.branch(plan, rows, work)
                case _:
                    rows_made = self.kernel(plan, rows, work)
            made += rows_made
            rows += rows_made
        outputs = self.random.sample(made, len(targets))
        plan.outputs = dict(zip(outputs, targets, strict=True))
        block = plan.block()

        def evaluate(env: Env) -> Env:
            env = dict(env)
            for task in work:
                task(env)
            return env

        return Made(block, evaluate), outputs

    def temporary(self, *shape: int) -> tuple[int, Buffer]:
        value = next(self.numbers)
        return value, Buffer(f"v{value}", F32, shape, number=value)

    def kernel(self, plan: Plan, rows: list[int], work: list[Callable[[Env], None]]) -> list[int]:
        name = self.random.choice([n for n, (k, _) in KERNELS.items() if k <= len(rows)])
        arity, fn = KERNELS[name]
        reads = self.random.sample(rows, arity)
        value, buffer = self.temporary(WIDTH)
        plan.add(kernel_of(name, reads, value), reads, {value: buffer})
        work.append(lambda env: env.update({value: fn(*(env[r] for r in reads))}))
        return [value]

    def loop(
        self,
        plan: Plan,
        rows: list[int],
        stacks: list[int],
        work: list[Callable[[Env], None]],
        depth: int,
    ) -> list[int]:
        t, reverse = Var(f"t{next(self.numbers)}", TURNS), self.random.random() < 0.4
        firsts = [self.random.choice(rows) for _ in self.some(2)]
        carries = [self.temporary(WIDTH) for _ in firsts]
        stacked = [self.temporary(TURNS, WIDTH) for _ in self.some(1, 0)]
        shared = [self.random.choice(rows) for _ in self.some(1, 0)]
        sliced = [self.random.choice(stacks) for _ in self.some(1, 0) if stacks]
        inputs: dict[int, Array] = {}
        sources: dict[int, int] = {}
        for outer, array in (
            *((v, buffer) for v, (_, buffer) in zip(firsts, carries, strict=True)),
            *((v, plan.arrays[v]) for v in shared),
            *((v, self.part(plan.arrays[v], t)) for v in sliced),
        ):
            value = next(self.numbers)
            inputs[value], sources[value] = array, outer
        begun = list(inputs)[: len(firsts)]
        targets = [b for _, b in carries] + [self.part(b, t) for _, b in stacked]
        body, outputs = self.block(inputs, targets, depth - 1)
        starts = tuple(
            Copy(plan.arrays[v], buffer, v) for v, (_, buffer) in zip(firsts, carries, strict=True)
        )
        step = Repeat(
            t, body.block, sources, dict(zip(begun, outputs, strict=False)), reverse, starts
        )
        reads = list(dict.fromkeys(sources.values()))
        plan.add(step, reads, dict([*carries, *stacked]))

        def run(env: Env) -> None:
            state = [env[v] for v in firsts]
            found = [np.zeros((TURNS, WIDTH), np.float32) for _ in stacked]
            for k in reversed(range(TURNS)) if reverse else range(TURNS):
                given = [*state, *(env[v] for v in shared), *(env[v][k] for v in sliced)]
                after = body.evaluate(dict(zip(inputs, given, strict=True)))
                values = [after[v] for v in outputs]
                state = values[: len(firsts)]
                for stack, value in zip(found, values[len(firsts) :], strict=True):
                    stack[k] = value
            env.update(zip([v for v, _ in (*carries, *stacked)], [*state, *found], strict=True))

        work.append(run)
        stacks += [v for v, _ in stacked]
        return [v for v, _ in carries]

    def branch(self, plan: Plan, rows: list[int], work: list[Callable[[Env], None]]) -> list[int]:
        value, buffer = self.temporary(WIDTH)
        test = next(v for v, a in plan.arrays.items() if a.dtype == BOOL)
        reads = self.random.sample(rows, min(2, len(rows)))
        sources = {next(self.numbers): v for v in reads}
        inputs = {v: plan.arrays[outer] for v, outer in sources.items()}
        first, second = (self.block(inputs, [buffer], 0) for _ in range(2))
        plan.add(
            Branch(plan.arrays[test], (first[0].block, second[0].block), sources),
            [test, *reads], {value: buffer},
        )  # fmt: skip

        def run(env: Env) -> None:
            made, (output,) = first if env[test][0] else second
            env[value] = made.evaluate({v: env[outer] for v, outer in sources.items()})[output]

        work.append(run)
        return [value]

    @staticmethod
    def part(array: Array, t: Var) -> View:
        return View(array.base, array.first + at(t) * WIDTH, (WIDTH,))


def whole(seed: int) -> tuple[Block, dict[Buffer, Row], dict[Buffer, Row]]:
    """A function with a state: its block, what its buffers hold before and should after."""
    maker, numbers = Maker(seed), np.random.default_rng(seed)
    given: dict[int, Buffer] = {}
    for name, shape, home in (
        ("test", (1,), "argument"), ("x", (WIDTH,), "argument"),
        ("xs", (TURNS, WIDTH), "argument"), ("w", (WIDTH,), "state"), ("u", (WIDTH,), "state"),
    ):  # fmt: skip
        number = next(maker.numbers)
        given[number] = Buffer(name, BOOL if name == "test" else F32, shape, home, number)  # type: ignore[arg-type]
    values = {v: numbers.normal(size=b.shape).astype(np.float32) for v, b in given.items()}
    values[0] = np.array([seed % 2 == 0])
    state = [b for b in given.values() if b.home == "state"]
    results = [Buffer(f"y{k}", F32, (WIDTH,), "output", k) for k in maker.some(2)]
    targets = [*state[: maker.random.randint(0, 2)], *results]
    made, outputs = maker.block(given, list(targets), 2)
    after = made.evaluate(dict(values))
    before = {b: values[v].reshape(-1).copy() for v, b in given.items()}
    expected = before | {b: after[v] for v, b in zip(outputs, targets, strict=True)}
    before |= {b: np.full(WIDTH, np.nan, np.float32) for b in results}
    return made.block, before, expected


@pytest.mark.parametrize("part", range(4))
def test_random_plans_compute_what_their_values_are(part: int) -> None:
    kinds: set[type[Any]] = set()
    saved = 0
    for seed in range(20 * part, 20 * part + 20):
        block, memory, expected = whole(seed)
        kinds |= {type(step) for _, step, _ in walk(block)}
        saved += block.memory.no_reuse_bytes - block.memory.arena_bytes
        run_block(block, memory)
        for buffer, value in expected.items():
            np.testing.assert_allclose(
                memory[buffer], value.reshape(-1), rtol=1e-5, atol=1e-5, err_msg=f"seed {seed}"
            )
    assert kinds == {Run, Copy, Repeat, Branch}
    assert saved > 0
