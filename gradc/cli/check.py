"""`gradc check`: are the gradients and the C right?

Enters: a training step. Leaves: a table of comparisons. Always holds: status 1 if any fails.
"""

from __future__ import annotations

import argparse

from .build import build
from .console import Console
from .target import training_step


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The command."""
    path, name = arguments.target
    _, step = training_step(path, name, seed=arguments.seed)
    build(step, console)
    report = step.check()
    rows = [
        {"name": row.name, "kind": row.kind, "max_error": row.max_error, "ok": bool(row.ok)}
        for row in report.rows
    ]
    console.data(repr(report), {"ok": bool(report.ok), "rows": rows})
    return 0 if report.ok else 1
