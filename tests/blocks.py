"""Blocks of steps run in Python, without a C compiler.

Enters: a planned block and arrays for its buffers outside the arena. Leaves: those arrays, changed.
Always holds: buffers lie in one arena, at the offsets of the memory plan, so that a wrong overlay
shows in the results; every kernel writes each element of its outputs exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import numpy as np

from gradc.index import Index, Var, replace_vars
from gradc.lower.execute import execute
from gradc.lower.nested import nested
from gradc.plan.buffers import Array, Buffer
from gradc.plan.steps import Block, Branch, Copy, Guard, Repeat, Run, Step, offsets_of

Flat = np.ndarray[Any, Any]


class Counting(np.ndarray):
    """An array that counts how often each of its elements is written."""

    def __array_finalize__(self, parent: object) -> None:
        self.writes = np.zeros(self.shape, int)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.writes[key] += 1
        super().__setitem__(key, value)


class RefusedError(Exception):
    """A guard has ended the function."""


def run_block(block: Block, outside: Mapping[Buffer, Flat]) -> None:
    """Run all steps; raises `RefusedError` where a guard ends them. `outside` holds flat arrays."""
    _Running(block, outside).block(block)


class _Running:
    def __init__(self, block: Block, outside: Mapping[Buffer, Flat]) -> None:
        self.outside = dict(outside)
        self.offsets = offsets_of(block)
        self.arena = np.full(block.memory.arena_bytes, 0xFF, np.uint8)
        self.counters: dict[Var, Index] = {}

    def block(self, block: Block) -> None:
        for step in block.steps:
            self.step(step)

    def step(self, step: Step) -> None:
        match step:
            case Run():
                self.kernel(step)
            case Copy():
                self.at(step.target)[:] = self.at(step.source)
            case Repeat():
                for copy in step.starts:
                    self.step(copy)
                turns = range(step.var.extent)
                for k in reversed(turns) if step.reverse else turns:
                    self.counters[step.var] = Index((), k)
                    self.block(step.block)
            case Branch():
                (test,) = self.at(step.test)
                self.block(step.blocks[0 if test else 1])
            case Guard():
                if self.at(step.fault).any():
                    raise RefusedError(step.what)
            case _:
                assert_never(step)

    def at(self, array: Array) -> Flat:
        """The bytes of an array, as its elements."""
        buffer = array.base
        first = replace_vars(array.first, self.counters)
        assert not first.terms, f"a counter of {array} does not run"
        if buffer not in self.offsets:
            whole = buffer.value if buffer.home == "constant" else self.outside[buffer]
            return whole.reshape(-1)[first.const : first.const + array.size]
        start = self.offsets[buffer] + first.const * buffer.dtype.itemsize
        return self.arena[start : start + array.nbytes].view(buffer.dtype)

    def kernel(self, run: Run) -> None:
        kernel = nested(run.kernel)  # as it is printed
        params = (*kernel.params, *kernel.scratch)
        given = zip(params, run.uses, strict=True)
        buffers = {p.name: self.at(use.array).view(Counting) for p, use in given}
        execute(kernel, buffers)
        for p in kernel.params:
            expected = 1 if p.written else 0
            assert (buffers[p.name].writes == expected).all(), f"writes of `{p.name}` in\n{kernel}"
