"""The names of extents: which axes are one, what they are called, where the C uses the names."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc import nn, optim
from gradc.lower.axes import find_axes

STRICT = "-Wall -Wextra -Wpedantic -Wconversion -Werror -fsyntax-only".split()
SIZES = re.compile(r"^    (\w+) = (\d+),?$", re.MULTILINE)


class Net(nn.Module):
    """Layers of the given widths."""

    def __init__(self, *widths: int) -> None:
        rng = np.random.default_rng(0)
        self.layers = [nn.Linear(a, b, rng=rng) for a, b in pairwise(widths)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers:
            x = np.tanh(layer(x))
        return x


def squares(model: Any, x: Any, y: Any) -> Any:
    return ((model(x) - y) ** 2).mean()


def step(batch: int, *widths: int) -> Any:
    x, y = gd.f32[batch, widths[0]], gd.f32[batch, widths[-1]]
    return gd.train_step(squares, Net(*widths), optim.SGD(0.1), x, y, name="net")


def sizes(made: Any) -> dict[str, int]:
    """The enumerators of the header that are extents, without the program's name."""
    block = made.header.partition("The extents of the arrays.")[2].partition("};")[0]
    return {name.partition("_")[2]: int(n) for name, n in SIZES.findall(block)}


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ((4, 5, 6), {"BATCH": 3, "LAYERS_0_IN": 4, "LAYERS_0_OUT": 5, "LAYERS_1_OUT": 6}),
        ((4, 5, 5, 5, 6), {"BATCH": 3, "LAYERS_0_IN": 4, "WIDTH": 5, "LAYERS_3_OUT": 6}),
        ((3, 3, 3), {"BATCH": 3, "WIDTH": 3}),
    ],
)
def test_an_extent_is_called_after_its_layer_or_after_none_of_several(widths, expected):
    assert sizes(step(3, *widths)) == expected


def test_what_no_layer_names_is_called_after_the_argument_or_the_parameter():
    w = np.ones((4, 5), np.float32)
    made = gd.program("p", {"w": w}, ask=gd.query(lambda s, x, z: (x @ s["w"], z + 1), gd.f32[7, 4],
                      gd.f32[2, 3, 5]))  # fmt: skip
    assert sizes(made) == {
        "X_ROWS": 7, "X_COLUMNS": 4, "Z_AXIS_0": 2, "Z_AXIS_1": 3, "Z_AXIS_2": 5, "W_COLUMNS": 5,
    }  # fmt: skip


def test_two_entry_points_may_have_batches_of_two_sizes():
    def learn(state: Any, x: Any) -> Any:
        return {"w": state["w"] * x.sum(axis=0)}, x.sum()

    made = gd.program(
        "p", {"w": np.ones(3, np.float32)},
        one=gd.update(learn, gd.f32[4, 3]), two=gd.update(learn, gd.f32[8, 3]),
    )  # fmt: skip
    found = sizes(made)
    assert found["BATCH"] == 4
    assert found["BATCH_2"] == 8


def test_the_names_stand_in_loops_indices_sizes_and_comments():
    made = step(67, 30, 20, 10)
    words = " ".join(made.source.split())
    for text in (
        "/* [BATCH, LAYERS_0_IN] */",
        "i < BATCH",
        "sizeof(float) * LAYERS_0_IN",
        "order[k * BATCH + i]",
        "x[row * LAYERS_0_IN]",
        "state->params.layers_0_bias, LAYERS_0_OUT,",
    ):
        assert text in words, text
    assert "NET_LAYERS_0_OUT" in made.header
    for line in made.source.splitlines():
        assert "tile" in line or not re.search(r"< (67|30);|\* (67|30)\b", line), line


def test_a_name_that_the_program_uses_otherwise_is_left_to_it():
    made = gd.compile(lambda BATCH, X_SIZE: BATCH + X_SIZE, gd.f32[3], gd.f32[3], name="f")
    assert not {"BATCH", "X_SIZE"} & sizes(made).keys()


def test_axes_are_one_where_an_op_forces_their_extents_to_be_equal():
    def f(x: Any, w: Any, row: Any) -> Any:
        return (x @ w + row).sum(axis=0), x.T, x[1:], np.concatenate([x, x], axis=0), x.reshape(12)

    graph = gd.trace(f, gd.f32[4, 3], gd.f32[3, 5], gd.f32[5])
    axes = find_axes(graph, 0)
    (rows, depth), (down, columns), (same,) = axes.arguments
    assert (down, same) == (depth, columns)
    assert len({rows, depth, columns}) == 3
    total, turned, part, twice, flat = axes.results
    assert total == (columns,)
    assert turned == (depth, rows)
    assert part[1] == twice[1] == depth
    assert not {part[0], twice[0], flat[0]} & {rows, depth, columns}


@pytest.mark.parametrize("language", ["c11", "c++17", "c++20"])
@pytest.mark.parametrize("command", ["gcc", "clang"])
def test_expressions_of_extents_are_right_in_c_and_c_plus_plus(command, language, tmp_path: Path):
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    step(64, 30, 20, 10).export(tmp_path)
    flags = ["-march=native", "-x", "c++" if "+" in language else "c", f"-std={language}"]
    done = subprocess.run(
        [command, *flags, *STRICT, "net.c"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
