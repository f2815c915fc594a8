"""The C of three small programs, byte for byte.

A change of the compiler that is meant to change no C changes nothing here; one that is shows what
it changes, when `pytest --renew-golden` has been run, as a difference between files in git. The
target is fixed, so that the text is the same on every machine.
"""

from __future__ import annotations

import importlib
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradc.program import options

GOLDEN = Path(__file__).resolve().parent / "golden"
EXAMPLES = GOLDEN.parent.parent / "examples"
RUNTIME = GOLDEN.parent.parent / "runtime"
VECTORS = {"mnist": "avx2", "neuron": "scalar", "by_hand": "scalar"}


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`make(name)`: the step of an example, as it is on a machine with a fixed vector unit."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def step(name: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(options, "native_isa", lambda compiler, cflags: VECTORS[name])
            return importlib.import_module(name).step()

    return step


@pytest.mark.parametrize("name", VECTORS)
def test_the_c_is_the_golden_file(name, make, check_golden):
    step = make(name)
    check_golden(f"{name}.c", step.source)
    check_golden(f"{name}.h", step.header)


@pytest.mark.parametrize("language", ["c -std=c11", "c++ -std=c++17"])
@pytest.mark.parametrize("name", VECTORS)
def test_the_golden_file_compiles_without_a_warning(name, language):
    if shutil.which("gcc") is None or platform.machine() != "x86_64":
        pytest.skip("needs gcc for x86-64")
    if language.startswith("c++") and shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    warnings = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -mavx2 -mfma".split()
    command = ["gcc", "-x", *language.split(), *warnings, "-fsyntax-only", f"-I{RUNTIME}"]
    done = subprocess.run([*command, GOLDEN / f"{name}.c"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_memory_plan_and_the_kernels_are_the_golden_file(make, check_golden):
    step = make("mnist")
    kernels = "\n".join(map(repr, step.kernels))
    check_golden("mnist.plan.txt", f"{step.plan.report()}\n\n{kernels}\n")


@pytest.mark.parametrize("name", VECTORS)
def test_the_same_program_is_the_same_text_again(name, make):
    """Whatever was compiled before, in this process or another."""
    first = make(name)
    make("by_hand" if name == "mnist" else "mnist")
    again = make(name)
    assert (again.source, again.header) == (first.source, first.header)


@pytest.mark.parametrize("name", VECTORS)
def test_the_text_is_fit_to_print(name, make):
    step = make(name)
    for text in (step.source, step.header):
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        assert "\n\n\n" not in text
        assert str(EXAMPLES) not in text
        assert text.isascii()
        for line in text.splitlines():
            assert line == line.rstrip()
            assert "\t" not in line
    assert re.search(rf"\b{name}\.py:\d+", step.source)


def test_the_passes_follow_one_another_in_the_step(make):
    """The step reads like the textbook: forward, then backward with the updates."""
    body = make("mnist").source.partition("int mnist_step(")[2].partition("\n}\n")[0]
    assert re.search(r"/\* Forward pass\..*/\* Backward pass", body, re.DOTALL)
    names = re.findall(r"^    (\w+)\(", body, re.MULTILINE)
    passes = [name.partition("_")[0] for name in names]
    forward = passes.count("forward")
    assert forward == 2
    assert "d_fc1" in names[forward + 1]
    assert passes[:forward] == ["forward"] * forward
    updated = {word for name in names for word in re.findall(r"fc[12]_(?:weight|bias)", name)}
    assert updated == {"fc1_weight", "fc1_bias", "fc2_weight", "fc2_bias"}
