"""The list of stages: each makes something new of what the one before it left."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest
from compiled import job_of

from gradc.pipeline import STAGES, compile_program
from gradc.program.options import Options
from gradc.stages import (
    Checked,
    Grouped,
    Job,
    Leaf,
    Lowered,
    Outlined,
    Planned,
    Simplified,
    Unit,
)
from gradc.trace import trace_tree

KINDS = {
    "checks": Checked, "simplify": Checked, "unchanged": Checked, "squeeze": Simplified,
    "layouts": Simplified, "layout": Simplified, "materialise": Simplified, "fuse": Grouped,
    "outline": Outlined, "lower": Lowered, "plan": Planned,
}  # fmt: skip


def jobs() -> list[Job]:
    x, w = np.ones((4, 1, 3), np.float32), np.ones((3, 3), np.float32)
    graph = trace_tree(lambda x, w: (np.tanh(x @ w) @ w).sum(0), x, w).graph
    return [job_of("f", graph, Options("f", "avx2")), job_of("g", graph, Options("f", "avx2"))]


def test_every_stage_adds_to_what_is_known() -> None:
    unit: Unit[Any] = Unit((), tuple(jobs()))
    for name, stage in STAGES:
        before, shown = unit, [str(job) for job in unit.jobs]
        unit = stage(unit)
        assert [str(job) for job in before.jobs] == shown, "a stage changes what it is given"
        for old, new in zip(before.jobs, unit.jobs, strict=True):
            assert type(new) is KINDS.get(name, Planned)
            assert {f.name for f in fields(old)} <= {f.name for f in fields(new)}
    with pytest.raises(FrozenInstanceError):
        unit.jobs[0].plan = None


def test_one_job_can_be_compiled_again() -> None:
    given = jobs()
    first = compile_program("f", (), given)
    assert compile_program("f", (), given).emitted == first.emitted
    assert list(first.seconds) == [name for name, _ in STAGES]


def test_layouts_are_chosen_for_all_entry_points_at_once() -> None:
    """A product that wants the matrix turned, and an entry point of many that want it as it is."""
    x, w = np.ones((64, 32), np.float32), np.ones((48, 32), np.float32)
    turned, plain = (
        trace_tree(lambda w, x: x @ w.T, w, x).graph,
        trace_tree(lambda w, x: x @ w, w, np.ones((640, 48), np.float32)).graph,
    )
    target = job_of("f", turned, Options("f", "avx2")).target
    leaf = Leaf("w", "w", w)

    def swapped(*graphs: Any) -> bool:
        made = [Job(f"f{k}", g, 1, (), ("x",), ("y",), target) for k, g in enumerate(graphs)]
        compiled = compile_program("f", [leaf], made, vectors="avx2")
        assert len({m.swapped for m in compiled.members}) == 1
        return compiled.members[0].swapped

    assert swapped(turned)
    assert not swapped(plain)
    assert not swapped(turned, plain)
