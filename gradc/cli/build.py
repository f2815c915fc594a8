"""`gradc build`: compile, and say what each stage did.

Enters: a target. Leaves: a library in the cache, C files in a folder if asked for. Always holds:
stages are shown as they are done, on stderr.
"""

from __future__ import annotations

import argparse

from ..program import Stage
from ..program.options import INSTEAD_OF_TARGET, Options
from .console import Console
from .target import Compiled, load


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The command."""
    path, name = arguments.target
    if arguments.machine is not None:
        Options(target=arguments.machine)  # or an error that lists them
        INSTEAD_OF_TARGET.set(arguments.machine)
    _, compiled = load(path, name, seed=arguments.seed)
    shown = build(compiled, console)
    info = compiled.build()
    out = str(info.directory)
    written = []
    if arguments.out is not None:
        out = arguments.out
        written = [str(p) for p in compiled.export(arguments.out)]
    console.stage("Finished", out)
    data = {
        "name": compiled.name,
        "library": str(info.path),
        "compiler": str(info.compiler),
        "flags": list(info.flags),
        "seconds": info.seconds,
        "cached": info.cached,
        "stages": [vars(stage) for stage in shown],
        "files": written,
    }
    if console.json:
        console.data("", data)
    return 0


def build(compiled: Compiled, console: Console) -> list[Stage]:
    """Build, showing the stages before it and then its own; all of them."""
    before = list(compiled.stages)
    for stage in before:
        console.stage(stage.verb, stage.what, stage.detail, stage.seconds)
    compiled.build()
    after = compiled.stages[len(before) :]
    for stage in after:
        console.stage(stage.verb, stage.what, stage.detail, stage.seconds)
    return [*before, *after]
