"""gradc_simd.h on its own: tests/c/runtime_simd.c for each instruction set that the machine has.

The sums of the program are of integers: they are exact, whatever the compiler makes of them.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest
from test_runtime import (
    C11,
    C_COMPILERS,
    CPP17,
    CPP_COMPILERS,
    FAST,
    NATIVE,
    SANITIZERS,
    found,
    run_program,
)

from gradc.lower.target import TARGETS


@cache
def macros(compiler: str) -> frozenset[str]:
    """What the compiler defines for the machine that runs this."""
    command = [found(compiler), NATIVE, "-dM", "-E", "-x", "c", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return frozenset(line.split()[1] for line in done.stdout.splitlines())


@pytest.mark.parametrize("compiler", C_COMPILERS)
@pytest.mark.parametrize("name", [name for name, t in TARGETS.items() if t.macros])
def test_products_are_exact_with_every_instruction_set(
    name: str, compiler: str, tmp_path: Path
) -> None:
    target = TARGETS[name]
    if not macros(compiler).issuperset(target.macros):
        pytest.skip(f"the machine has no {target.title}")
    flags = [*C11, *FAST, f"-march={target.architecture}"]
    assert run_program(compiler, flags, "runtime_simd.c", tmp_path) == []


@pytest.mark.parametrize("compiler", C_COMPILERS)
def test_products_read_and_write_what_they_say(compiler: str, tmp_path: Path) -> None:
    flags = [*C11, *SANITIZERS, NATIVE, "-O0"]
    assert run_program(compiler, flags, "runtime_simd.c", tmp_path) == []


@pytest.mark.parametrize("compiler", CPP_COMPILERS)
def test_products_are_exact_in_cpp(compiler: str, tmp_path: Path) -> None:
    assert run_program(compiler, [*CPP17, "-O0"], "runtime_simd.c", tmp_path) == []
