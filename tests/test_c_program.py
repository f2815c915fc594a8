"""The exported C in programs without Python: it compiles without a warning, and trains."""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.lower.target import TARGETS
from gradc.toolchain.compilers import find_compiler, flags

TESTS = Path(__file__).resolve().parent
EXAMPLES = TESTS.parent / "examples"
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
OPTIMISED = "-O2 -ffp-contract=fast -fno-math-errno".split()
C11, CPP17 = ["-std=c11"], ["-x", "c++", "-std=c++17"]
SANITIZED = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all".split()

LANGUAGES = [
    pytest.param(command, flags, id=f"{command}-{flags[-1].removeprefix('-std=')}")
    for command, flags in (("gcc", C11), ("clang", C11), ("g++", CPP17), ("clang++", CPP17))
]


def compile_program(command: str, flags: list[str], folder: Path, *sources: str) -> Path:
    """An executable made of the sources in `folder`; every warning is an error."""
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    program = folder / f"program-{command}"
    full = [command, *flags, *WARNINGS, *sources, "-x", "none", "-lm", "-o", str(program)]
    done = subprocess.run(full, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return program


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mnist() -> Any:
    """The module of the example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        return importlib.import_module("mnist")


def exported(mnist: Any, folder: Path, target: str) -> Path:
    """The example's C for a target, and the C programs that use it."""
    step = gd.train_step(
        mnist.loss,
        mnist.MLP(),
        optim.SGD(lr=0.05, momentum=0.9, weight_decay=1e-3),
        gd.f32[64, 784],
        gd.i32[64],
        predict=mnist.MLP.__call__,
        name="mnist",
        target=target,
    )
    step.export(folder)
    for name in ("train_mnist.c", "refuse_mnist.c"):
        shutil.copy(TESTS / "c" / name, folder)
    return folder


@pytest.fixture(scope="module")
def native(mnist: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(mnist, tmp_path_factory.mktemp("native"), "native")


@pytest.fixture(scope="module")
def portable(mnist: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(mnist, tmp_path_factory.mktemp("portable"), "portable")


@pytest.fixture(scope="module")
def digits(mnist: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two thousand real digits: a byte of label, then 784 of pixels."""
    data = np.load(mnist.DIGITS)
    rows = np.concatenate([data["y"][:2000, None], data["x"][:2000]], axis=1).astype(np.uint8)
    path = tmp_path_factory.mktemp("digits") / "digits.raw"
    path.write_bytes(rows.tobytes())
    return str(path)


def accuracies(text: str) -> tuple[float, float]:
    before, after = (float(a) for a in re.findall(r": accuracy ([\d.]+)", text))
    return before, after


@pytest.mark.parametrize(("command", "language"), LANGUAGES)
def test_a_c_program_trains_on_real_digits_without_python(native, digits, command, language):
    flags = [*language, *OPTIMISED, "-march=native"]
    program = compile_program(command, flags, native, "train_mnist.c", "mnist.c")
    text = run(program, digits, "8", "1")
    before, after = accuracies(text)
    assert before < 0.3
    assert after > 0.88
    losses = [float(v) for v in re.findall(r"loss ([\d.]+)", text)]
    assert len(losses) == 8
    assert losses == sorted(losses, reverse=True)


def test_training_is_repeatable_and_depends_on_the_seed(portable, digits):
    flags = [*C11, *OPTIMISED]
    program = compile_program("gcc", flags, portable, "train_mnist.c", "mnist.c")
    first = run(program, digits, "2", "5")
    assert run(program, digits, "2", "5") == first
    assert run(program, digits, "2", "6") != first
    assert accuracies(first)[1] > 0.8


@pytest.mark.parametrize("folder", ["native", "portable"])
def test_what_is_out_of_range_is_refused_under_sanitizers(folder, request):
    folder, march = request.getfixturevalue(folder), folder
    flags = [*C11, *SANITIZED, *(["-march=native"] if march == "native" else [])]
    program = compile_program("gcc", flags, folder, "refuse_mnist.c", "mnist.c")
    assert run(program) == ""


def test_the_sanitizers_see_nothing_while_training(portable, digits):
    flags = [*C11, *SANITIZED]
    program = compile_program("gcc", flags, portable, "train_mnist.c", "mnist.c")
    assert accuracies(run(program, digits, "1", "2"))[1] > 0.6


@pytest.mark.skipif(not (shutil.which("gcc") and shutil.which("nm")), reason="needs gcc and nm")
@pytest.mark.parametrize("folder", ["native", "portable"])
def test_the_object_file_asks_for_nothing_but_memory_and_mathematics(folder, request):
    place = request.getfixturevalue(folder)
    flags = [*C11, *OPTIMISED, *(["-march=native"] if folder == "native" else [])]
    subprocess.run(["gcc", *flags, "-c", "mnist.c", "-o", "mnist.o"], cwd=place, check=True)
    listed = subprocess.run(
        ["nm", "mnist.o"], cwd=place, capture_output=True, text=True, check=True
    )
    symbols = [line.split()[-2:] for line in listed.stdout.splitlines()]
    wanted = {name for kind, name in symbols if kind == "U"}
    named = set(re.findall(r"\b([a-z][a-z0-9]*)\(", (place / "mnist.c").read_text()))
    assert wanted <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"} | named
    public = {name for kind, name in symbols if kind == "T"}
    assert public == {
        f"mnist_{f}" for f in ("init", "load", "step", "steps", "evaluate", "predict")
    }
    assert not [name for kind, name in symbols if kind in "bBdDcC"], "there is a global variable"


# --- the example that is exported beside every program ---


def agent() -> Any:
    """A program with everything in its signatures: integers, booleans, scalars, no results."""

    def act(state: Any, observation: Any, flag: Any, count: Any) -> Any:
        best = np.argmax(observation * state["w"], axis=0)
        return {"best": best, "any": (observation > 0).any() & flag, "count": count + 1}

    def forget(state: Any) -> Any:
        return {"w": state["w"] * 0}, None

    def learn(state: Any, x: Any, y: Any) -> Any:
        value, gradient = gd.value_and_grad(lambda w: nn.cross_entropy(x * w, y))(state["w"])
        return {"w": state["w"] - gradient}, value

    return gd.program(
        "agent",
        {"w": np.ones(3, np.float32)},
        act=gd.query(act, gd.f32[3], gd.bool_[()], gd.i64[()]),
        forget=gd.update(forget),
        learn=gd.update(learn, gd.f32[4, 3], gd.u8[4]),
    )


def function() -> Any:
    return gd.compile(lambda x, n: (np.exp(x) / n, x > 0), gd.f64[3], gd.f64[()], name="scaled")


PROGRAMS = ["mnist", "neuron", "deep_mlp", "by_hand", "gradient_descent"]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each program exported to a folder."""
    made = {"agent": agent(), "function": function()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        made |= {name: importlib.import_module(name).step() for name in PROGRAMS}
    folders = {name: tmp_path_factory.mktemp(name) for name in made}
    for name, program in made.items():
        program.export(folders[name])
    return folders


@pytest.mark.parametrize(("command", "language"), LANGUAGES)
@pytest.mark.parametrize("name", ["agent", "function", *PROGRAMS])
def test_the_exported_example_compiles_and_runs(examples, name, command, language):
    folder = examples[name]
    sources = sorted(p.name for p in folder.glob("*.c"))
    parameters = [s for s in sources if s.endswith("_parameters.c")]
    assert len(sources) == 2 + len(parameters)
    flags = [*language, "-O1", "-march=native"]
    text = run(compile_program(command, flags, folder, *sources))
    entries = re.findall(r"^(\w+): ", text, re.MULTILINE)
    assert entries
    headers = "".join(p.read_text() for p in folder.glob("*.h"))
    assert all(f" {entry}(" in headers for entry in entries)


def test_the_line_in_the_example_compiles_it_as_gradc_does_and_it_learns(examples):
    folder, found = examples["mnist"], find_compiler()
    text = (folder / "mnist_example.c").read_text(encoding="utf-8")
    line = text[text.index("cc -O3") : text.index(" */")].replace("\\\n *", "").split()
    assert [w for w in line if w in flags(found)] == [w for w in flags(found) if w != "-fPIC"]
    done = subprocess.run([*found.command, *line[1:-1]], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = re.search(r"mnist_step: from (\S+) to (\S+) in", run(folder / "mnist_example"))
    assert said is not None
    assert float(said[2]) < 0.5 * float(said[1])


def test_the_line_names_the_compiler_and_the_flags_that_were_asked_for(tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    f = gd.compile(lambda x: x * 2, gd.f32[3], name="f", compiler="clang", cflags=["-fno-builtin"])
    f.export(tmp_path)
    line = own_line(tmp_path, "f")
    assert line[0].startswith("clang")
    assert "-fno-builtin" in line


def test_c_for_wider_vectors_than_the_compiler_may_use_is_refused(examples, tmp_path):
    step = importlib.import_module("mnist").step()
    command = ["gcc", "-std=c11", "-fsyntax-only", "-I.", "mnist.c"]
    if shutil.which("gcc") is None or step.compiled.target.name not in ("avx2", "avx512"):
        pytest.skip("needs gcc, and a machine whose vectors have to be asked for")
    done = subprocess.run(command, cwd=examples["mnist"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "written for AVX" in done.stderr


def own_line(folder: Path, name: str) -> list[str]:
    """The words of the command that an exported example says it is compiled with."""
    text = (folder / f"{name}_example.c").read_text(encoding="utf-8")
    words = text[: text.index(" */")].replace("\\\n *", "").split()
    return words[words.index("-O3") - 1 :]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("target", [name for name in TARGETS if name != "neon"])
def test_the_line_of_each_target_asks_for_its_instructions_and_no_more(compiler, target, tmp_path):
    if shutil.which(compiler) is None or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"needs {compiler} for x86-64")
    w = np.ones((40, 48), np.float32)
    options: Any = {"name": "f", "target": target, "compiler": compiler}
    f = gd.compile(lambda x: (x @ w).sum(), gd.f32[33, 40], **options)
    f.export(tmp_path)
    _, *line = own_line(tmp_path, "f")
    architecture = TARGETS[target].architecture
    marches = [flag for flag in line if flag.startswith(("-march", "-mcpu"))]
    assert marches == ([f"-march={architecture}"] if architecture else [])
    check_syntax([compiler, *line, "-fsyntax-only"], tmp_path)
    for macro in TARGETS[target].macros:
        refused = [compiler, *line, "-fsyntax-only", f"-U{macro}"]
        with pytest.raises(AssertionError, match=f"written for {TARGETS[target].title}"):
            check_syntax(refused, tmp_path)


def check_syntax(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
