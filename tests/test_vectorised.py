"""Inner loops become vector code: what GCC and Clang report of the loops of the golden kernels, and
of rows, sums and moves, for AVX2, for AVX-512 and for machines of which nothing is known.

Where the loops are is what the printer says of its own text (`Emitted.loops`). An inner loop counts
as vector code if the compiler says so of the loop or of one around it, or, where it writes out the
few turns of one, of the statements in it. The others are excused by the name of their function,
each for a reason. Nothing is run: the compilers write for machines other than this one.
"""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn
from gradc.program import options
from gradc.toolchain.compilers import find_compiler, flags

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
REPORTS = {
    "gcc": (12, "-fopt-info-optimized-vec-loop"),
    "clang": (14, "-Rpass=loop-vectorize|slp-vectorizer|loop-idiom"),
}
"""The oldest version that is asked, and how it is."""
VECTORISED = re.compile(
    r"^program\.c:(\d+):\d+: (?:optimized|remark):.*(?:ectorized|to 0 loops and|mem\w+)",
    re.MULTILINE,
)
DISTRIBUTED = re.compile(
    r"^program\.c:(\d+):\d+: optimized: Loop \d+ distributed: split to (\d+) loops", re.MULTILINE
)
"""A loop that GCC divides, of which each part has to be vector code."""
GOLDEN = {"mnist": "avx2", "neuron": "scalar", "by_hand": "scalar"}
TARGETS = ("avx512", "avx2", "scalar")


@dataclass(frozen=True)
class Excuse:
    """So many loops of a function may stay as they are, because of `why`."""

    loops: int
    why: str


SHORT = "rows of ten classes: too short for partial results, and sums of floats keep their order"
START = (
    "lanes get what they hold first: vectors that never were in memory, of which nothing is said"
)
EXCUSED = {
    ("gcc", "loss_and_d_fc2_and_fc2_bias"): Excuse(2, SHORT),
    ("clang", "loss_and_d_fc2_and_fc2_bias"): Excuse(2, SHORT),
    ("gcc", "forward_loss"): Excuse(2, SHORT),
    ("clang", "forward_loss"): Excuse(3, SHORT),
    ("clang", "update_fc2_weight"): Excuse(1, "a tile across the rows of its matrix, ten apart"),
    ("gcc", "softmax_rows"): Excuse(1, START),
    ("clang", "softmax_rows"): Excuse(1, START),
    ("gcc", "loss_rows"): Excuse(1, "four last labels of 68, compared with positions of 64 bits"),
    ("clang", "loss_rows"): Excuse(1, START),
    ("gcc", "extremes"): Excuse(4, START),
    ("clang", "extremes"): Excuse(4, START),
    ("clang", "norm_rows"): Excuse(2, "lanes that are added to doubles, once in several rows"),
    ("gcc", "moved"): Excuse(1, "three columns that go round"),
}


def softmax_rows(x: Any) -> Any:
    return gd.softmax(x, -1)


def loss_rows(x: Any, labels: Any) -> Any:
    return gd.value_and_grad(nn.cross_entropy)(x, labels)


def norm_rows(x: Any, gain: Any, bias: Any, y: Any) -> Any:
    def loss(x: Any, gain: Any, bias: Any) -> Any:
        centred = x - gd.mean(x, axis=-1, keepdims=True)
        variance = gd.mean(centred * centred, axis=-1, keepdims=True)
        return (centred / np.sqrt(variance + 1e-5) * gain + bias - y).sum()

    return gd.value_and_grad(loss, argnums=(0, 1, 2))(x, gain, bias)


def extremes(x: Any) -> Any:
    return x.max(1), x.min(1), x.prod(1), x.sum(1), x.sum(0), np.argmax(x, axis=1)


def counts(x: Any, k: Any) -> Any:
    return (x > 0).astype(gd.i32).sum(1), k.sum(1), k.max(1), np.where(x > 0, x, 0)


def moved(x: Any) -> Any:
    return np.concatenate([x, x * 2], axis=1), np.roll(x, 3, axis=1), x[:, ::-1] + 1


F, K = gd.f32[60, 100], gd.i32[60, 100]
ROWS = {
    "softmax_rows": (softmax_rows, F),
    "loss_rows": (loss_rows, gd.f32[60, 68], gd.i32[60]),
    "norm_rows": (norm_rows, gd.f32[60, 128], gd.f32[128], gd.f32[128], gd.f32[60, 128]),
    "extremes": (extremes, F),
    "counts": (counts, F, K),
    "moved": (moved, F),
}


def unvectorised(emitted: Any, files: dict[str, str], compiler: str, target: str, folder: Path):
    """Of each kernel, the loops of which the compiler does not say that they are vector code."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the instruction sets named here are those of x86-64")
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    oldest, report = REPORTS[compiler]
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True).stdout
    if int(version.partition(".")[0]) < oldest:
        pytest.skip(f"older than {compiler} {oldest}")
    for name, text in files.items():
        (folder / name).write_text(text)
    (folder / "program.c").write_text(emitted.source)
    command = [compiler, *flags(find_compiler(compiler), target), report]
    command += ["-c", "program.c", "-o", "program.o"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = Counter(int(line) for line in VECTORISED.findall(done.stderr))
    for line, parts in DISTRIBUTED.findall(done.stderr):
        if said[int(line)] < int(parts):
            del said[int(line)]
    lines = emitted.source.splitlines()
    found = []
    for name, first, last in set(emitted.kernels.values()):
        for start, end in inner(emitted.loops):
            if first <= start <= last and not said.keys() & lines_of(start, end, emitted.loops):
                found.append((name, f"{start}: {lines[start - 1].strip()} {lines[start].strip()}"))
    return sorted(found)


Lines = tuple[int, int]


def inner(loops: Sequence[Lines]) -> list[Lines]:
    """The loops that hold no other."""
    return [(a, b) for a, b in loops if not any(a < c < b for c, _ in loops)]


def lines_of(start: int, end: int, loops: Sequence[Lines]) -> set[int]:
    """The lines of a loop, and the heads of those around it."""
    return set(range(start, end + 1)) | {a for a, b in loops if a < start < b}


def check(found: list[tuple[str, str]], compiler: str) -> None:
    """No more loops are left than are excused."""
    for name, count in Counter(name for name, _ in found).items():
        excuse = EXCUSED.get((compiler, name), Excuse(0, "none"))
        loops = "\n".join(text for kernel, text in found if kernel == name)
        assert count <= excuse.loops, f"{compiler} makes no vectors in `{name}` of\n{loops}"


@pytest.mark.parametrize("compiler", REPORTS)
@pytest.mark.parametrize("name", GOLDEN)
def test_inner_loops_of_the_golden_kernels_are_vector_code(
    name: str, compiler: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(options, "native_isa", lambda compiler, cflags: GOLDEN[name])
    step = importlib.import_module(name).step()
    emitted = step.compiled.emitted
    check(unvectorised(emitted, step._core.files(), compiler, GOLDEN[name], tmp_path), compiler)


@pytest.mark.parametrize("compiler", REPORTS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ROWS)
def test_inner_loops_of_rows_are_vector_code(name: str, target: str, compiler: str, tmp_path: Path):
    fn, *specs = ROWS[name]
    made = gd.compile(fn, *specs, target="portable" if target == "scalar" else target)
    emitted = made.compiled.emitted
    found = unvectorised(emitted, made._core.files(), compiler, target, tmp_path)
    check([(name, loop) for _, loop in found], compiler)
