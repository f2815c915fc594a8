"""Generated C without Python around it: under the sanitizers, or all of it in static memory.

A harness in C reads the inputs of every entry point from a file and writes the results to another.
Every array, the arena and the state are heap blocks of their exact size, so a byte read or written
past one of them ends the program; what is to be written first holds NaN. Of programs that are
compiled within `poisoned_arena`, each kernel finds all of the arena poisoned but the buffers it is
handed. In static memory, state and arena are objects that are declared with their types, and the
program is part of the harness's own translation unit, so that the compiler knows all it may.
Enters: a program and its inputs. Leaves: what the program computes. Always holds: an error of a
sanitizer is an `AssertionError` with its report.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from drawing import Array

from gradc.dtypes import c_name
from gradc.emit.entry import Entry
from gradc.emit.steps import StepPrinter
from gradc.emit.writer import Writer
from gradc.plan.steps import Block, Copy, Run, Step
from gradc.plan.steps import Path as StepPath
from gradc.program.core import Core

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FLAGS = ("-std=c11", "-O1", "-g1", "-ffp-contract=fast", "-D_POSIX_C_SOURCE=200112L")
STATIC_FLAGS = (
    "-std=c11", "-O3", "-ffp-contract=fast", "-D_POSIX_C_SOURCE=200112L", "-fstrict-aliasing",
    "-Wstrict-aliasing=2", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
NATIVE = "-mcpu=native" if os.uname().machine in ("aarch64", "arm64") else "-march=native"
TARGETS = {"native": (NATIVE,), "avx2": (NATIVE,), "sse": (), "portable": ()}

INTERFACE = ("-include", "sanitizer/asan_interface.h")

HARNESS = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *given, *made;

/* A block of exactly n bytes: from the file, or all ones, which is NaN. */
static void *block(size_t n, int read)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, n) != 0) exit(2);
    memset(p, 0xff, n);
    if (read && n > 0 && fread(p, n, 1, given) != 1) exit(3);
    return p;
}

static void write_out(const void *p, size_t n)
{
    if (n > 0 && fwrite(p, n, 1, made) != 1) exit(4);
}
"""


class Poisoning(StepPrinter):
    """Prints steps that leave of the arena to each kernel no more than its buffers."""

    def step(self, w: Writer, step: Step, block: Block, path: StepPath) -> None:
        if self.e.arena and isinstance(step, Run | Copy):
            w.line(f"__asan_poison_memory_region(arena, {self.e.plan.memory.arena_bytes});")
            for use in step.uses:
                b = use.array.base
                if b in self.offsets:
                    start = f"(unsigned char *)arena + {self.offsets[b]}"
                    w.line(f"__asan_unpoison_memory_region({start}, {b.nbytes});")
        super().step(w, step, block, path)


@contextmanager
def poisoned_arena() -> Iterator[None]:
    """What is compiled within can only be built with the address sanitizer."""
    with mock.patch("gradc.emit.calls.StepPrinter", Poisoning):
        yield


def harness(core: Core, static: bool) -> str:
    """The C program that calls every entry point once, in order."""
    w, name = Writer(), core.compiled.name
    w.line(f'#include "{name}.{"c" if static else "h"}"')
    w.lines += HARNESS.splitlines()
    w.nodes += [()] * len(HARNESS.splitlines())
    w.line("int main(int argc, char **argv)")
    with w.block(""):
        w.line("if (argc != 3) return 1;")
        w.line('given = fopen(argv[1], "rb");')
        w.line('made = fopen(argv[2], "wb");')
        w.line("if (given == NULL || made == NULL) return 1;")
        if core.state is not None and static:
            w.line(f"static {name}_state declared_state, *state = &declared_state;")
            w.line("if (fread(state, sizeof *state, 1, given) != 1) return 3;")
        elif core.state is not None:
            w.line(f"{name}_state *state = ({name}_state *)block(sizeof *state, 1);")
        for entry in core.compiled.entries:
            call_entry(w, core, entry, static)
        if core.state is not None:
            w.line("write_out(state, sizeof *state);")
            w.line("" if static else "free(state);")
        w.line("return fclose(given) | fclose(made);")
    return w.text


def call_entry(w: Writer, core: Core, e: Entry, static: bool) -> None:
    p = core.compiled.interface
    with w.block(""):
        for a in e.args:
            kind, star = c_name(a.dtype), "*" if a.shape else ""
            w.line(f"{kind} *p_{a.identifier} = ({kind} *)block({a.nbytes}, 1);")
            if not star:
                w.line(f"const {kind} {a.identifier} = *p_{a.identifier};")
        for a in e.pointers:
            kind = c_name(a.dtype)
            w.line(f"{kind} *p_{a.identifier} = ({kind} *)block({a.nbytes}, 0);")
        if e.arena and static:
            w.line(f"static {p.arena_type} declared_arena, *arena = &declared_arena;")
        elif e.arena:
            kind = p.arena_type
            w.line(f"{kind} *arena = ({kind} *)block({e.plan.memory.arena_bytes}, 0);")
        args = {"": [], "state": ["state"], "params": ["&state->params"]}[e.scope]
        args += [f"p_{a.identifier}" for a in (*e.pointers, *e.arrays)]
        args += [*(a.identifier for a in e.scalars), *(["arena"] if e.arena else [])]
        call = f"{p.function(e)}({', '.join(args)})"
        if e.returns_value:
            w.line(f"const {p.returns(e)} result = {call};")
            w.line("write_out(&result, sizeof result);")
        else:
            w.line(f"if ({call} != {p.ok}) return 5;")
        for a in e.pointers:
            w.line(f"write_out(p_{a.identifier}, {a.nbytes});")
        for a in (*e.args, *e.pointers):
            w.line(f"free(p_{a.identifier});")
        w.line("free(arena);" if e.arena and not static else "")


def run_sanitized(
    core: Core, inputs: Iterable[Array], compiler: str, flags: tuple[str, ...], folder: Path
) -> list[list[Array]]:
    """The outputs of every entry point, in order, as the sanitized program computes them.

    The state of the program, if it has one, is read from `core` and afterwards written to it.
    """
    options = (*FLAGS, *INTERFACE, *flags, *SANITIZE, f"{core.compiled.name}.c")
    return _run(core, inputs, (compiler, *options), folder, static=False)


def run_in_static_memory(
    core: Core, inputs: Iterable[Array], compiler: str, flags: tuple[str, ...], folder: Path
) -> list[list[Array]]:
    """The same, with state and arena as declared objects; warnings are errors."""
    return _run(core, inputs, (compiler, *STATIC_FLAGS, *flags), folder, static=True)


def _run(
    core: Core, inputs: Iterable[Array], command: tuple[str, ...], folder: Path, *, static: bool
) -> list[list[Array]]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    for file, text in core.files().items():
        (folder / file).write_text(text, encoding="utf-8")
    (folder / "harness.c").write_text(harness(core, static), encoding="utf-8")
    state = [core.state.memory] if core.state is not None else []
    data = b"".join(np.ascontiguousarray(a).tobytes() for a in (*state, *inputs))
    (folder / "given").write_bytes(data)
    build = [*command, "-I.", "harness.c", "-o", "harness", "-lm"]
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    for command_line in (build, ["./harness", "given", "made"]):
        done = subprocess.run(
            command_line, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        said = f"{done.stdout}{done.stderr[-6000:]}"
        assert done.returncode == 0, f"{' '.join(command_line)}\n{said}"
    return results(core, (folder / "made").read_bytes())


def results(core: Core, made: bytes) -> list[list[Array]]:
    """What the harness wrote."""
    position, found = 0, []
    for entry in core.compiled.entries:
        outputs = []
        for a in entry.outputs:
            flat = np.frombuffer(made, a.dtype, a.size, position)
            outputs.append(flat.reshape(a.shape))
            position += a.nbytes
        found.append(outputs)
    if core.state is not None:
        core.state.memory[:] = np.frombuffer(made, np.uint8, core.state.memory.size, position)
        position += core.state.memory.size
    assert position == len(made)
    return found
