"""What is computed once although it would be cheap to compute again."""

from __future__ import annotations

import numpy as np
import pytest

import gradc as gd


@pytest.mark.parametrize("least", ["min", "max"])
def test_what_is_compared_with_its_own_extremum_is_computed_once(least):
    """Rounded in two ways, no element would equal the extremum, and its gradient would be lost."""

    def loss(a, b):
        return getattr(a * b + 0.3, least)(-1).sum()

    f = gd.compile(gd.grad(loss), gd.f32[5, 40], gd.f32[5, 40])
    (job,) = f.compiled.jobs
    (compared,) = {n.args[0] for n in f.graph if n.op == "equal"}
    for group in job.groups:
        if compared in group.nodes:
            assert compared in group.tree.statements
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 40)).astype(np.float32)
    hit = np.count_nonzero(f(a, b), axis=1)
    assert hit.tolist() == [1] * 5
