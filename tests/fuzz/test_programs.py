"""A sample of the random programs that `python -m tests.fuzz` runs by the thousand."""

from __future__ import annotations

import pytest
from batches import KINDS, Way, failures

PROGRAMS = 30
"""For each way: together a few seconds of a C compiler's time."""
WAYS = [Way("gcc"), Way("clang", "avx2"), Way("gcc", sanitized=False)]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_random_programs_compute_what_the_interpreter_does(way: Way):
    seeds = [(KINDS[k % len(KINDS)], f"sample {way} {k}") for k in range(PROGRAMS)]
    found = list(failures(seeds, way))
    assert not found, "\n".join(f"{f.kind} {f.seed!r}: {f.report}" for f in found)
