"""What the values within a kernel are called."""

from __future__ import annotations

import re

import numpy as np

import gradc as gd
from gradc.dtypes import F32
from gradc.graph import Graph
from gradc.index import Var, at
from gradc.lower.nest import For, Kernel, Let, Load, Param, Ref, Store
from gradc.lower.words import named

X = np.ones((4, 6), np.float32)
DECLARED = re.compile(r"\b(?:float|double|int|size_t|int32_t) (?:\*(?:const|restrict) )?(\w+)")


def locals_of(fn, *args):
    """The names that the only kernel of a function declares, its parameters aside."""
    source = gd.compile(fn, *args).source
    (body,) = re.findall(r"GRADC_KERNEL[^{]*\n{\n(.*?)\n}\n", source, re.DOTALL)
    return set(DECLARED.findall(body))


def test_a_value_has_the_name_that_the_user_gives_it():
    def fn(x):
        centred = x - x.mean(axis=1, keepdims=True)
        return centred / np.sqrt((centred * centred).sum(axis=1, keepdims=True))

    assert "centred" in locals_of(fn, X)


def test_folds_are_called_after_their_role():
    found = locals_of(lambda x: np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1), X)
    assert {"row_max", "row_sum"} <= found


def test_no_word_of_the_library_is_a_name():
    def fn(x):
        exp = np.exp(x)
        log = np.log(x + 1)
        return (exp * log).sum(axis=1) + (exp / log).sum(axis=1)

    assert locals_of(fn, X) & {"exp", "log"} == set()


def test_the_letters_of_loops_are_left_to_the_user():
    def fn(x):
        i = np.tanh(x)
        return (i * x + i).sum(axis=1)

    source = gd.compile(fn, X).source
    assert "const float i = gradc_tanhf(" in source
    assert "size_t i" not in source


def test_a_loop_of_one_turn_and_two_of_one_letter():
    """As passes leave them: a loop with one value, and loops beside each other."""
    x, y = Param("x", F32, 9), Param("y", F32, 9, written=True)
    loops = tuple(
        For(v, (Let("v", Load("x", at(v), F32)), Store("y", at(v), Ref("v", F32))))
        for v in (Var("i", 1), Var("i_2", 9), Var("i", 9))
    )
    kernel, _ = named(Kernel("k", (x, y), (0, 1), loops, ()), Graph({}, (), ()), {0: "x", 1: "y"})
    assert [s.var.name for s in kernel.body if isinstance(s, For)] == ["i", "i", "i"]


def test_behind_a_loop_a_local_hides_no_parameter():
    """One loop has a value called as the array that the next one reads."""
    x, y = Param("x", F32, 9), Param("y", F32, 9, written=True)
    i = Var("i", 9)
    hiding = For(i, (Let("x", Load("y", at(i), F32)), Store("y", at(i), Ref("x", F32))))
    reading = For(i, (Let("v", Load("x", at(i), F32)), Store("y", at(i), Ref("v", F32))))
    body = (hiding, reading)
    kernel, _ = named(Kernel("k", (x, y), (0, 1), body, ()), Graph({}, (), ()), {0: "x", 1: "y"})
    _, second = (s for s in kernel.body if isinstance(s, For))
    (load,) = (s.expr for s in second.body if isinstance(s, Let))
    assert load == Load("x", at(second.var), F32)
