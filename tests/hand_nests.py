"""Loop nests written by hand, run by the interpreter and as C under the sanitizers.

Enters: kernels. Leaves: what each makes of its parameters. Always holds: every parameter of the C
is a heap block of its exact size, so that a byte read or written past one of them ends the program.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradc.dtypes import c_name
from gradc.emit.kernel import KernelPrinter
from gradc.emit.needs import runtime_headers, standard_headers
from gradc.emit.passing import Operand, Role
from gradc.emit.writer import Writer
from gradc.lower.execute import execute
from gradc.lower.nest import Kernel, Param
from gradc.plan.buffers import Buffer

Array = np.ndarray[Any, Any]
RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
FLAGS = (
    "-std=c11", "-O1", "-g1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror",
    "-ffp-contract=off",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
)  # fmt: skip
BLOCK = """
static void *block(FILE *given, size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL || fread(p, 1, n, given) != n) exit(3);
    return p;
}
"""


def operands(kernel: Kernel) -> list[Operand]:
    """The parameters in their order, as what a call hands over."""
    return [
        Operand(k, p, Buffer(p.name, p.dtype, p.shape), Role.OUT if p.written else Role.IN)
        for k, p in enumerate(parameters(kernel))
    ]


def parameters(kernel: Kernel) -> tuple[Param, ...]:
    return (*kernel.params, *kernel.scratch)


def interpreted(kernel: Kernel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The parameters after the kernel has run, by the interpreter of nests."""
    found = {p.name: arrays[p.name].copy() for p in parameters(kernel)}
    execute(kernel, found)
    return found


def compiled(
    kernels: Sequence[Kernel],
    arrays: Sequence[Mapping[str, Array]],
    folder: Path,
    compiler: str = "gcc",
    flags: tuple[str, ...] = (),
) -> list[dict[str, Array]]:
    """The same by C, one program for all kernels."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    (folder / "nests.c").write_text(program(kernels), encoding="utf-8")
    cases = list(zip(kernels, arrays, strict=True))
    data = b"".join(given[p.name].tobytes() for k, given in cases for p in parameters(k))
    (folder / "given").write_bytes(data)
    build = [compiler, *FLAGS, *flags, f"-I{RUNTIME}", "nests.c", "-o", "nests", "-lm"]
    for command in (build, ["./nests"]):
        done = subprocess.run(
            command, cwd=folder, env={"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0"},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-6000:]}"
    made, position, results = (folder / "made").read_bytes(), 0, []
    for kernel in kernels:
        found = {}
        for p in parameters(kernel):
            found[p.name] = np.frombuffer(made, p.dtype, p.size, position)
            position += p.size * p.dtype.itemsize
        results.append(found)
    return results


def program(kernels: Sequence[Kernel]) -> str:
    """A C program that reads the parameters of every kernel, calls it, and writes them."""
    body = Writer()
    for n, kernel in enumerate(kernels):
        KernelPrinter(kernel, body).function(f"kernel_{n}", operands(kernel), "")
    w = Writer()
    for header in sorted({"stdio.h", "stdlib.h", "stdint.h", *standard_headers(body.needs)}):
        w.line(f"#include <{header}>")
    for header in runtime_headers({"gradc_base.h", *body.needs}):
        w.line(f'#include "{header}"')
    w.lines += BLOCK.splitlines()
    w.nodes += [()] * len(BLOCK.splitlines())
    w.extend(body)
    w.line("int main(void)")
    with w.block(""):
        w.line('FILE *given = fopen("given", "rb"), *made = fopen("made", "wb");')
        w.line("if (given == NULL || made == NULL) return 1;")
        for n, kernel in enumerate(kernels):
            with w.block(""):
                params = parameters(kernel)
                for p in params:
                    kind, size = c_name(p.dtype), f"{p.size} * sizeof({c_name(p.dtype)})"
                    w.line(f"{kind} *{p.name} = ({kind} *)block(given, {size});")
                args = [f"*{p.name}" if p.scalar else p.name for p in params]
                w.line(f"kernel_{n}({', '.join(args)});")
                for p in params:
                    w.line(f"fwrite({p.name}, sizeof *{p.name}, {p.size}, made);")
                    w.line(f"free({p.name});")
        w.line("return fclose(given) | fclose(made);")
    return w.text
