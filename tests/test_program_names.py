"""What programs may be called, and that arguments may be called anything."""

from __future__ import annotations

import keyword
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import optim
from gradc.errors import ArgumentError
from gradc.lower.reserved import ARGUMENTS, GLOBAL, MEMBERS, PROGRAMS, RESERVED

REFUSED = {
    "my model!": "my_model",
    "../x": "x",
    "": "v",
    "2nd": "v_2nd",
    "_hidden": "hidden",
    "größe": "gr_e",
    "a b": "a_b",
    "a/b": "a_b",
    "x.c": "x_c",
    "x" * 61: "x" * 60,
    "main": "main_program",
    "while": "while_program",
    "int": "int_program",
    "class": "class_program",
    "isnan": "isnan_program",
    "exp": "exp_program",
    "math": "math_program",
    "stdint": "stdint_program",
    "read": "read_program",
    "linux": "linux_program",
    "gradc_math": "gradc_math_program",
    "simd": "simd_program",
}


def as_step(name: Any) -> Any:
    def loss(w: Any, x: Any) -> Any:
        return (w * x).sum()

    return gd.train_step(loss, np.ones(3, np.float32), optim.SGD(), gd.f32[3], name=name)


def as_program(name: Any) -> Any:
    return gd.program(name, {"w": np.ones(3)}, read=gd.query(lambda state: state["w"].sum()))


def as_function(name: Any) -> Any:
    return gd.compile(lambda x: x + 1, gd.f32[3], name=name)


@pytest.mark.parametrize("make", [as_step, as_program, as_function])
@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_c_cannot_use_is_refused_with_one_that_it_can(name, make):
    with pytest.raises(ArgumentError, match="cannot name a program") as caught:
        make(name)
    assert f'name="{REFUSED[name]}"' in str(caught.value)
    assert "letters, digits and underscores" in str(caught.value) or "no word" in str(caught.value)


@pytest.mark.parametrize("make", [as_step, as_program, as_function])
@pytest.mark.parametrize("name", ["m_example", "m_parameters"])
def test_no_program_is_called_what_is_exported_beside_another(name, make):
    with pytest.raises(ArgumentError, match="files beside another are called so") as caught:
        make(name)
    assert f'name="{name}_program"' in str(caught.value)


@pytest.mark.parametrize("name", ["f", "R", "w", "x", "Net2", "a_b_", "x" * 60, "mnist_state"])
def test_any_other_name_is_kept(name, tmp_path):
    step = as_step(name)
    assert step.name == name
    written = {path.name for path in step.export(tmp_path)}
    assert {f"{name}.c", f"{name}.h"} <= written
    assert as_function(name)(np.zeros(3, np.float32)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["exp", "main", "isnan", "read", "<lambda>", "größe", "x" * 300])
def test_the_name_of_a_python_function_is_made_to_fit(name):
    def function(x: Any) -> Any:
        return x + 1

    function.__name__ = name
    f = gd.compile(function, gd.f32[3], cflags=("-O0",))
    assert f(np.zeros(3, np.float32)).tolist() == [1, 1, 1]
    assert f.compiled.name.isidentifier()
    assert f.compiled.name not in PROGRAMS


def test_entry_points_may_not_take_the_names_of_what_every_program_has():
    for label in ("params", "arena", "init", "load", "parameters"):
        entry = gd.query(lambda state: state["w"] * 2)
        with pytest.raises(ArgumentError, match=f"`agent_{label}` in C"):
            gd.program("agent", {"w": np.ones(3)}, **{label: entry})


def test_the_headers_of_the_runtime_are_no_names_of_programs():
    headers = [path.name for path in resources.files("gradc.runtime").iterdir()]
    stems = {name[6:-2] for name in headers if re.fullmatch(r"gradc_\w+\.h", name)}
    assert stems
    assert stems <= PROGRAMS


# --- whatever means something in C ---

HEADERS = "stdalign stddef stdint assert math string stdio".split()
LANGUAGES = {
    "gcc": ("gcc", "-std=gnu17", "-D_GNU_SOURCE"),
    "clang": ("clang", "-std=gnu17", "-D_GNU_SOURCE"),
    "g++": ("g++", "-x", "c++", "-std=gnu++17"),
    "clang++": ("clang++", "-x", "c++", "-std=gnu++17"),
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_macro_of_the_headers_is_known(language, tmp_path):
    """As this machine's library has them, with all its extensions."""
    command = LANGUAGES[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    source = tmp_path / "headers.c"
    source.write_text("".join(f"#include <{name}.h>\n" for name in HEADERS))
    listed = subprocess.run(
        [*command, "-dM", "-E", source], capture_output=True, text=True, check=True
    )
    macros = set(re.findall(r"^#define ([A-Za-z]\w*)", listed.stdout, re.MULTILINE))
    assert "NAN" in macros
    for taken in (RESERVED, MEMBERS, ARGUMENTS, GLOBAL):
        assert macros - taken == set()


WORDS = """
    isnan isinf isless isfinite signbit fpclassify errno stdin EOF M_PI DOMAIN OVERFLOW I complex
    NULL NAN INT32_MAX INT64_C assert offsetof alignas static_assert linux min double struct this
    template operator namespace bool true size_t memcpy state params arena order count done row k
""".split()


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose arguments, results and state are all called by words of C."""

    def put(state: Any, given: Any) -> Any:
        return {k: state[k] + given[k] for k in state}, {k: v * 2 for k, v in given.items()}

    state = {word: np.zeros(2, np.float32) for word in WORDS}
    given = dict.fromkeys(WORDS, gd.f32[2])
    folder = tmp_path_factory.mktemp("words")
    gd.program("words", state, put=gd.update(put, given)).export(folder)
    return folder


@pytest.mark.parametrize("language", LANGUAGES)
def test_arguments_results_and_state_may_be_called_whatever_means_something(language, words):
    command = LANGUAGES[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}")
    warnings = "-Wall -Wextra -Wpedantic -Wconversion -Werror".split()
    sources = sorted(path.name for path in words.glob("*.c"))
    done = subprocess.run(
        [*command, *warnings, "-fsyntax-only", *sources], cwd=words, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:3000]


def test_a_reserved_word_as_an_argument_gets_another_name_in_c():
    """Python's own keywords cannot be arguments; the others are renamed `<word>_value`."""
    words = "isnan signbit double struct errno state I this".split()
    assert not any(keyword.iskeyword(w) for w in words)
    body = f"lambda {', '.join(words)}: {' + '.join(words)}"
    f = gd.compile(eval(body), *[gd.f64[()]] * len(words), name="sum_of_words", cflags=("-O0",))
    assert f(**{w: float(k) for k, w in enumerate(words)}) == sum(range(len(words)))
    for word in words:
        assert f"double {word}_value" in f.header
