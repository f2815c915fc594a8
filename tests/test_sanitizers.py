"""Generated C under the address and undefined-behaviour sanitizers, without Python around it.

A harness in C reads the inputs of every entry point from a file and writes the results to another.
Every array, the arena and the state are heap blocks of their exact size, so a byte read or written
past one of them ends the program; what is to be written first holds NaN. The results are compared
with NumPy's, so the code that ran is the right one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import Update, compile_graphs, compile_updates
from drawing import Array, Case
from random_graphs import draw_case, draw_update
from test_c_corners import CASES as CORNERS
from test_c_corners import outputs_of
from test_c_ops import CASES as OPS
from test_c_ops import graph_of

import gradc as gd
from gradc.dtypes import c_name
from gradc.emit.entry import Entry
from gradc.emit.writer import Writer
from gradc.interpret import interpret
from gradc.program.core import Core

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
FLAGS = ("-std=c11", "-O1", "-g1", "-ffp-contract=fast", "-D_POSIX_C_SOURCE=200112L")
NATIVE = "-mcpu=native" if os.uname().machine in ("aarch64", "arm64") else "-march=native"
TARGETS = {"native": (NATIVE,), "avx2": (NATIVE,), "sse": (), "portable": ()}
CASES = 40
UPDATES = 40

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


def harness(core: Core) -> str:
    """The C program that calls every entry point once, in order."""
    w, name = Writer(), core.compiled.name
    w.line(f'#include "{name}.h"')
    w.lines += HARNESS.splitlines()
    w.nodes += [()] * len(HARNESS.splitlines())
    w.line("int main(int argc, char **argv)")
    with w.block(""):
        w.line("if (argc != 3) return 1;")
        w.line('given = fopen(argv[1], "rb");')
        w.line('made = fopen(argv[2], "wb");')
        w.line("if (given == NULL || made == NULL) return 1;")
        if core.state is not None:
            w.line(f"{name}_state *state = ({name}_state *)block(sizeof *state, 1);")
        for entry in core.compiled.entries:
            call_entry(w, core, entry)
        if core.state is not None:
            w.line("write_out(state, sizeof *state);")
            w.line("free(state);")
        w.line("return fclose(given) | fclose(made);")
    return w.text


def call_entry(w: Writer, core: Core, e: Entry) -> None:
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
        if e.arena:
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
        w.line(f"{'free(arena);' if e.arena else ''}")


def run_sanitized(
    core: Core, inputs: Iterable[Array], compiler: str, flags: tuple[str, ...], folder: Path
) -> list[list[Array]]:
    """The outputs of every entry point, in order, as the sanitized program computes them.

    The state of the program, if it has one, is read from `core` and afterwards written to it.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    for file, text in core.files().items():
        (folder / file).write_text(text, encoding="utf-8")
    (folder / "harness.c").write_text(harness(core), encoding="utf-8")
    state = [core.state.memory] if core.state is not None else []
    data = b"".join(np.ascontiguousarray(a).tobytes() for a in (*state, *inputs))
    (folder / "given").write_bytes(data)
    sources = ["harness.c", f"{core.compiled.name}.c"]
    build = [compiler, *FLAGS, *flags, *SANITIZE, "-I.", *sources, "-o", "harness", "-lm"]
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}
    for command in (build, ["./harness", "given", "made"]):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr[-6000:]}"
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


WAYS = [("gcc", "native"), ("clang", "avx2"), ("clang", "sse"), ("gcc", "portable")]


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_random_graphs(compiler: str, target: str, tmp_path: Path):
    cases = {f"g{k}": draw_case(f"sanitized {target} {k}", 14) for k in range(CASES)}
    core = compile_graphs({n: c.graph for n, c in cases.items()}, "clean", target=target)
    inputs = [a for case in cases.values() for a in case.inputs]
    found = run_sanitized(core, inputs, compiler, TARGETS[target], tmp_path)
    for case, outputs in zip(cases.values(), found, strict=True):
        case.check_outputs(outputs, f"{compiler}, {target}")


@pytest.mark.parametrize(("compiler", "target"), WAYS)
def test_random_updates(compiler: str, target: str, tmp_path: Path):
    cases = {f"u{k}": draw_update(f"sanitized {target} {k}", 5) for k in range(UPDATES)}
    named = {n: Update(c.graph, c.inputs[: c.leaves], c.replaced) for n, c in cases.items()}
    core = compile_updates(named, "clean", target=target)
    inputs = [a for case in cases.values() for a in case.inputs[case.leaves :]]
    found = run_sanitized(core, inputs, compiler, TARGETS[target], tmp_path)
    for (name, case), outputs in zip(cases.items(), found, strict=True):
        check_update(case, name, core, outputs)


def check_update(case: Case, name: str, core: Core, outputs: list[Array]) -> None:
    assert core.state is not None
    new = [np.array(core.state[f"{name}.{k}"]) for k in case.replaced]
    case.check_outputs(new + outputs, name)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_corners(compiler: str, tmp_path: Path):
    graphs = {name: gd.trace(fn, *args) for name, (fn, args) in CORNERS.items()}
    core = compile_graphs(graphs, "clean", target="avx2")
    inputs = [np.asarray(a) for _, args in CORNERS.values() for a in args]
    found = run_sanitized(core, inputs, compiler, TARGETS["avx2"], tmp_path)
    for (name, (fn, args)), outputs in zip(CORNERS.items(), found, strict=True):
        for k, (got, want) in enumerate(zip(outputs, outputs_of(fn, args), strict=True)):
            np.testing.assert_array_equal(got, want, f"{name}, output {k}")


def integer_ops() -> dict[str, tuple[Any, tuple[Array, ...]]]:
    """The rows of the op table on integers, whose samples go to the ends of their ranges."""
    found = {}
    for name, (row, sample) in OPS.items():
        if sample.args and all(a.dtype.kind in "iu" for a in sample.args):
            found[name] = (graph_of(row, sample.args, sample.attrs), sample.args)
    return found


def test_integers_do_not_overflow(tmp_path: Path):
    """Signed arithmetic wraps in the table's meaning; in C it is computed unsigned."""
    ops = integer_ops()
    core = compile_graphs({name: graph for name, (graph, _) in ops.items()}, "clean", target="sse")
    inputs = [a for _, args in ops.values() for a in args]
    found = run_sanitized(core, inputs, "clang", (), tmp_path)
    for (name, (graph, args)), outputs in zip(ops.items(), found, strict=True):
        for got, want in zip(outputs, interpret(graph, args), strict=True):
            np.testing.assert_array_equal(got, want, name)
