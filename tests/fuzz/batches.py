"""Batches of random programs: many for each run of the C compiler, each checked by itself.

Enters: seeds. Leaves: what failed, with the seed that makes it again. Always holds: a batch that
fails as a whole is run program by program, so that each failure has its own program.

Of ten programs six are functions with their first and second gradients, two graphs of all ops, and
two updates of a state, swapped, turned and replaced in every awkward order.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from compiled import Update, call, compile_graphs, compile_updates
from drawing import Array, Case
from random_graphs import draw_case, draw_update
from random_programs import Program, draw_program
from sanitized import TARGETS, poisoned_arena, run_sanitized

from gradc.graph import Graph
from gradc.program.core import Core

KINDS = ("program",) * 6 + ("graph",) * 2 + ("update",) * 2
GRAPH_STEPS, UPDATE_STEPS = 12, 5


@dataclass(frozen=True)
class Way:
    """How programs are built: by which compiler, for which target, and under the sanitizers or, in
    this process, with gradc's own flags.
    """

    compiler: str = "gcc"
    target: str = "native"
    sanitized: bool = True

    def __str__(self) -> str:
        how = "address and undefined-behaviour sanitizers" if self.sanitized else "default flags"
        return f"{self.compiler}, {self.target}, {how}"


@dataclass(frozen=True)
class Failure:
    kind: str
    seed: str
    report: str


def failures(seeds: Sequence[tuple[str, str]], way: Way) -> Iterator[Failure]:
    """Run the programs of these (kind, seed) in one go, and, if that fails, one after the other."""
    for kind, run in (("program", run_programs), ("update", run_updates)):
        mine = [s for s in seeds if (s[0] == "update") == (kind == "update")]
        if mine and _report(run, mine, way):
            for one in mine:
                if report := _report(run, [one], way):
                    yield Failure(*one, report)


def _report(
    run: Callable[[Sequence[tuple[str, str]], Way], None],
    seeds: Sequence[tuple[str, str]],
    way: Way,
) -> str:
    """What went wrong, if anything did: a wrong number, an error of gradc, a sanitizer's word."""
    try:
        run(seeds, way)
    except Exception:
        return traceback.format_exc(limit=-4)
    return ""


def run_programs(seeds: Sequence[tuple[str, str]], way: Way) -> None:
    """Functions and graphs: without a state, entry points of one C program."""
    drawn: dict[str, Program | Case] = {}
    graphs: dict[str, Graph] = {}
    names: dict[str, Sequence[str]] = {}
    for k, (kind, seed) in enumerate(seeds):
        label = f"{kind}_{k}"
        made = draw_program(seed) if kind == "program" else draw_case(seed, GRAPH_STEPS)
        drawn[label] = made
        graphs[label] = made.graph() if isinstance(made, Program) else made.graph
        if isinstance(made, Program):
            names[label] = made.names
    inputs = [made.args if isinstance(made, Program) else made.inputs for made in drawn.values()]
    with poisoned_arena() if way.sanitized else nullcontext():
        core = compile_graphs(
            graphs, "batch", target=way.target, compiler=way.compiler, names=names
        )
    if way.sanitized:
        found = _sanitized(core, [a for arrays in inputs for a in arrays], way)
    else:
        found = [call(core, label, arrays) for label, arrays in zip(drawn, inputs, strict=True)]
    for (label, made), outputs in zip(drawn.items(), found, strict=True):
        if isinstance(made, Program):
            made.check(graphs[label], outputs, str(way))
        else:
            made.check_outputs(outputs, str(way))


def run_updates(seeds: Sequence[tuple[str, str]], way: Way) -> None:
    """New values of states: one C program, whose state is all their states in a row."""
    cases = {f"u{k}": draw_update(seed, UPDATE_STEPS) for k, (_, seed) in enumerate(seeds)}
    named = {n: Update(c.graph, c.inputs[: c.leaves], c.replaced) for n, c in cases.items()}
    with poisoned_arena() if way.sanitized else nullcontext():
        core = compile_updates(named, "batch", target=way.target, compiler=way.compiler)
    given = {n: case.inputs[case.leaves :] for n, case in cases.items()}
    if way.sanitized:
        found = _sanitized(core, [a for arrays in given.values() for a in arrays], way)
    else:
        found = [call(core, n, arrays) for n, arrays in given.items()]
    assert core.state is not None
    for (name, case), outputs in zip(cases.items(), found, strict=True):
        new = [np.array(core.state[f"{name}.{k}"]) for k in case.replaced]
        case.check_outputs(new + outputs, f"{way}: {name}")


def _sanitized(core: Core, inputs: Sequence[Array], way: Way) -> list[list[Array]]:
    with tempfile.TemporaryDirectory() as folder:
        return run_sanitized(core, inputs, way.compiler, TARGETS[way.target], Path(folder))
