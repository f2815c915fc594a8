"""The traversal of loop nests: what it does not know is an error, whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hand_nests import operands

from gradc.dtypes import F32
from gradc.emit.kernel import KernelPrinter
from gradc.emit.writer import Writer
from gradc.index import Var, at
from gradc.lower.alike import signature
from gradc.lower.cuts import cut_loops
from gradc.lower.execute import execute
from gradc.lower.inplace import in_place_pairs
from gradc.lower.joins import joined
from gradc.lower.listing import listing
from gradc.lower.nest import (
    Declare,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Param,
    Ref,
    Stmt,
    Store,
)  # fmt: skip
from gradc.lower.rename import merge_buffers
from gradc.lower.traverse import walk
from gradc.lower.unused import without_unused

I, J = Var("i", 3), Var("j", 3)
READ, WRITE = Let("v", Load("x", at(J), F32)), Store("y", at(J), Ref("v", F32))
PARAMS = (Param("x", F32, 9), Param("y", F32, 9, written=True))


@dataclass(frozen=True)
class Prefetch:
    """A statement that nobody has heard of."""

    buffer: str


@dataclass(frozen=True)
class Best:
    """An expression that nobody has heard of."""

    buffer: str
    dtype: np.dtype[Any] = F32


STRANGE: dict[str, Any] = {
    "statement": Prefetch("x"),
    "value": Let("w", Best("x")),  # type: ignore[arg-type]
    "start": Declare("w", F32, Best("x")),  # type: ignore[arg-type]
}


def kernel(*body: Stmt) -> Kernel:
    return Kernel("k", PARAMS, (0, 1), body, (1,))


def run(k: Kernel) -> None:
    execute(k, {p.name: np.zeros(p.size, p.dtype) for p in k.params})


def printed(k: Kernel) -> None:
    KernelPrinter(k, Writer()).function("k", operands(k), "")


EVERYONE: dict[str, Callable[[Kernel], object]] = {
    "listing": listing,
    "printing": printed,
    "running": run,
    "renaming": lambda k: merge_buffers(k, 0, 1),
    "in place": in_place_pairs,
    "signature": signature,
    "unused": lambda k: without_unused((*k.body, Store("y", at(I), Ref("w", F32)))),
    "cutting": lambda k: cut_loops(
        Kernel("k", PARAMS, (0, 1), (*k.body, If(((at(I), 0, 1),), ())), (1,))
    ),
    "joining": lambda k: joined(For(I, k.body)),
}


@pytest.mark.parametrize("what", STRANGE)
@pytest.mark.parametrize("who", EVERYONE)
def test_what_is_not_known_raises(who: str, what: str):
    within = (READ, STRANGE[what], WRITE)
    with pytest.raises(AssertionError, match=r"unreachable, but got: (Prefetch|Best)"):
        EVERYONE[who](kernel(For(J, within)))


def test_a_literal_is_the_number_that_is_printed():
    assert Literal(0.0, F32) != Literal(-0.0, F32)
    assert Literal(float("nan"), F32) == Literal(float("nan"), F32)
    assert len({Literal(1.0, F32), Literal(1.0, F32), Literal(True, F32)}) == 2


def test_a_walk_meets_every_statement_once_and_outer_ones_first():
    inner = For(J, (READ, WRITE))
    assert list(walk((For(I, (inner,)),))) == [For(I, (inner,)), inner, READ, WRITE]
