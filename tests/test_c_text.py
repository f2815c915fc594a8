"""The generated text as such: every compiler takes it as C and as C++ without a warning, it imports
nothing but a few functions, keeps no globals, and is the same byte for byte every time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import Update, compile_graphs, compile_updates
from random_graphs import draw_case, draw_update
from test_c_ops import CASES, graph_of

import gradc as gd
from gradc import nn, optim
from gradc.lower.reserved import MATH

TESTS = Path(__file__).resolve().parent
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
ANY_MACHINE = "-DGRADC_ANY_MACHINE"
"""Takes C for wider vectors than the compiler is told of."""
C11 = ("-std=c11", "-fno-math-errno")
CPP17 = ("-x", "c++", "-std=c++17")
COMPILERS = {
    "gcc": ("gcc", *C11),
    "clang": ("clang", *C11),
    "zig": (sys.executable, "-m", "ziglang", "cc", *C11),
    "g++": ("g++", *CPP17),
    "clang++": ("clang++", *CPP17),
}
LIBRARY = {"memcpy", "memset", "memmove"}
Files = dict[str, str]


class Classifier(nn.Module):
    """A small network that has what the larger ones have."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.fc1 = nn.Linear(50, 33, rng=rng)
        self.fc2 = nn.Linear(33, 10, rng=rng)

    def __call__(self, x: Any) -> Any:
        return self.fc2(nn.relu(self.fc1(x)))


def loss(model: Any, x: Any, y: Any) -> Any:
    logits = model(x)
    return nn.cross_entropy(logits, y), {"accuracy": nn.accuracy(logits, y)}


def training(target: str) -> Any:
    return gd.train_step(
        loss, Classifier(), optim.SGD(0.1, momentum=0.9, weight_decay=1e-3),
        gd.f32[20, 50], gd.i32[20], predict=Classifier.__call__, name="training", target=target,
    )  # fmt: skip


def double_precision(x: Any, w: Any) -> Any:
    h = np.tanh(x @ w)
    return h.sum(axis=0), gd.softmax(h, axis=1), h.argmax(axis=1), np.sqrt(np.exp(h).mean())


def awkward(state: Any, int: Any, x_batch: Any, x: Any) -> Any:  # noqa: A002
    """Names that mean something in C, collide when made into identifiers, or end a comment."""
    forward_w = np.sin(x).sum() + int.astype(gd.f32).sum() + x_batch.sum()
    new = {name: w * 2 + forward_w for name, w in state.items()}
    metrics = {"a*/b": forward_w, "//": x * 2, "größe": x + 1, "a_b": x - 1, "sin": np.exp(x)}
    return new, metrics


def awkward_state() -> Any:
    names = (
        "while",
        "größe",
        "gr_e",
        "a*/b",
        "a b",
        "a_b",
        "linux",
        "size_t",
        "state",
        "0",
        "NULL",
    )
    return {name: np.ones((k, 2), np.float32) for k, name in enumerate(names)}


def in_awkward_file(path: str) -> Any:
    """`awkward`, as if it stood in a file of that name."""
    namespace = {"np": np}
    source = "def f(x):\n    h = np.tanh(x)\n    return h.sum(), h * 2\n"
    exec(compile(source, path, "exec"), namespace)
    return namespace["f"]


def called(name: str) -> Any:
    """`double_precision` under another name."""

    def function(x: Any, w: Any) -> Any:
        return double_precision(x, w)

    function.__name__ = name
    return function


def files_of(made: Any) -> Files:
    return made.files() if hasattr(made, "files") else made._core.files()


def table() -> Files:
    """Every op on every dtype."""
    graphs = {name: graph_of(row, s.args, s.attrs) for name, (row, s) in CASES.items()}
    return compile_graphs(graphs, "table", target="portable").files()


def random_program(target: str) -> Files:
    graphs = {f"g{k}": draw_case(f"text {k}", 14).graph for k in range(10)}
    return compile_graphs(graphs, "random", target=target).files()


def random_updates() -> Files:
    cases = {f"u{k}": draw_update(f"text {k}", 6) for k in range(10)}
    named = {n: Update(c.graph, c.inputs[: c.leaves], c.replaced) for n, c in cases.items()}
    return compile_updates(named, target="avx2").files()


AWKWARD_FILES = (
    "a*/b.py", "x//y.py", "/*.py", "größe.py", "b\\s\\.py", "n\nl.py", "tri??/.py", "\udcff.py",
    "\u202e.py",
)  # fmt: skip

AWKWARD_NAMES = ("exp", "int", "math", "main", "memcpy", "linux", "gradc_math", "size_t", "stdint")
SOURCES: dict[str, Any] = {
    "training": lambda: files_of(training("native")),
    "training_portable": lambda: files_of(training("portable")),
    "table": table,
    "double": lambda: files_of(gd.compile(double_precision, gd.f64[33, 40], gd.f64[40, 17])),
    "double_portable": lambda: files_of(
        gd.compile(double_precision, gd.f64[33, 40], gd.f64[40, 17], target="portable")
    ),
    "random": lambda: random_program("native"),
    "random_sse": lambda: random_program("sse"),
    "updates": random_updates,
    "names": lambda: files_of(
        gd.program(
            "names", awkward_state(), learn=gd.update(awkward, gd.i8[7], gd.f32[7, 2], gd.f32[7])
        )
    ),
    **{
        f"file_{k}": lambda path=path: files_of(gd.compile(in_awkward_file(path), gd.f32[3, 4]))
        for k, path in enumerate(AWKWARD_FILES)
    },
    **{
        f"name_{name}": lambda name=name: files_of(
            gd.compile(called(name), gd.f64[3, 4], gd.f64[4, 2])
        )
        for name in AWKWARD_NAMES
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every program exported into a folder of its own."""
    found = {}
    for name, make in SOURCES.items():
        found[name] = tmp_path_factory.mktemp(name)
        for file, text in make().items():
            (found[name] / file).write_text(text, encoding="utf-8")
    return found


def skip_without(compiler: str) -> None:
    there = importlib.util.find_spec("ziglang") if compiler == "zig" else shutil.which(compiler)
    if not there:
        pytest.skip(f"no {compiler}")


def check_run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_compiler_takes_it_without_a_warning(compiler: str, folders: dict[str, Path]):
    skip_without(compiler)
    command = [*COMPILERS[compiler], *WARNINGS]
    if compiler == "zig":  # knows no -fsyntax-only, and is slow to start
        for name in ("training", "training_portable", "double", "random", "updates", "names"):
            sources = sorted(path.name for path in folders[name].glob("*.c"))
            check_run([*command, "-c", *sources], folders[name])
        return
    sources = [str(path) for folder in folders.values() for path in sorted(folder.glob("*.c"))]
    assert len(sources) == 2 * len(SOURCES), "every program has its example"
    check_run([*command, ANY_MACHINE, "-fsyntax-only", *sources], TESTS)


def test_nothing_is_imported_but_a_few_functions_and_nothing_is_kept(folders: dict[str, Path]):
    skip_without("gcc")
    skip_without("nm")
    for name, folder in folders.items():
        (source,) = (path for path in folder.glob("*.c") if path.stem[-8:] != "_example")
        flags = [*WARNINGS, ANY_MACHINE, "-O2", "-I."]
        command = [*COMPILERS["gcc"], *flags, "-c", source.name, "-o", "program.o"]
        check_run(command, folder)
        symbols = [
            line.split()[-2:] for line in check_run(["nm", "program.o"], folder).splitlines()
        ]
        assert symbols, name
        kinds = {kind for kind, _ in symbols}
        assert kinds <= set("TtUrR"), f"{name} keeps {[s for s in symbols if s[0] not in 'TtUrR']}"
        text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.[ch]"))
        called = set(re.findall(r"\b([a-z]\w*)\(", text))
        imported = {symbol for kind, symbol in symbols if kind == "U"}
        assert imported - LIBRARY <= called & mathematics(), f"{name} imports {imported}"


def mathematics() -> set[str]:
    """The functions of <math.h>, by name."""
    return {f"{name}{suffix}" for name in MATH.split() for suffix in ("", "f")}


def digests() -> dict[str, str]:
    """A short name for the text of every program; a subprocess computes it too."""
    return {
        name: hashlib.sha256(repr(sorted(make().items())).encode("utf-8", "replace")).hexdigest()
        for name, make in SOURCES.items()
    }


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_same_program_is_the_same_text_in_every_process(seed: str):
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(TESTS)}
    script = "import test_c_text; print(test_c_text.json.dumps(test_c_text.digests()))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digests()
