"""Nestings are taken apart and rebuilt; nothing is changed on the way."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradc as gd
from gradc import nn, tree
from gradc.errors import TraceError

Pair = namedtuple("Pair", "left right")


@dataclass(frozen=True)
class Frozen:
    weight: Any
    name: str = "frozen"


def leaf() -> np.ndarray:
    return np.zeros(2, np.float32)


def test_paths_are_dotted_and_in_insertion_order():
    nested = {"b": [leaf(), (leaf(), None)], "a": Pair(leaf(), 1.5), "f": Frozen(leaf())}
    leaves, structure = tree.flatten(nested)
    assert structure.paths() == ["b.0", "b.1.0", "a.left", "a.right", "f.weight"]
    assert structure.count == len(leaves) == 5
    rebuilt = structure.unflatten(["B0", "B10", "L", "R", "W"])
    assert rebuilt == {"b": ["B0", ("B10", None)], "a": Pair("L", "R"), "f": Frozen("W")}
    assert isinstance(rebuilt["a"], Pair)


def test_a_lone_leaf_has_the_prefix_for_a_path():
    assert tree.leaves_with_paths(1.0, "x") == [("x", 1.0)]
    assert tree.leaves_with_paths([1.0], "x") == [("x.0", 1.0)]


def test_classes_of_dicts_are_kept():
    rebuilt = tree.map_leaves(lambda v: v + 1, OrderedDict(b=1, a=2))
    assert type(rebuilt) is OrderedDict
    assert list(rebuilt.items()) == [("b", 2), ("a", 3)]


class Layer(nn.Module):
    def __init__(self):
        self.weight = leaf()
        self.size = 3
        self.scale = np.float64(0.5)
        self.activation = nn.relu
        self.parts = [leaf(), "text", 4]
        self.options = {"depth": 2}


def test_only_the_arrays_of_a_module_are_leaves():
    layer = Layer()
    before = dict(vars(layer))
    assert list(layer.parameters()) == ["weight", "parts.0"]
    leaves, structure = tree.flatten(layer)
    new = structure.unflatten([1, 2])
    assert isinstance(new, Layer)
    assert new is not layer
    assert (new.weight, new.parts, new.size) == (1, [2, "text", 4], 3)
    assert new.options is layer.options
    assert vars(layer) == before
    assert layer.parts[0] is leaves[1]


def test_specs_are_leaves():
    assert tree.flatten({"x": gd.f32[3], "y": (gd.i32[()],)})[0] == [gd.f32[3], gd.i32[()]]


def test_an_object_that_contains_itself_is_refused():
    layer = Layer()
    layer.parent = layer
    with pytest.raises(TraceError, match="contains itself"):
        tree.flatten(layer)


def test_the_same_object_twice_is_no_cycle():
    shared = [leaf()]
    assert tree.flatten([shared, shared])[1].paths() == ["0.0", "1.0"]


def test_structures_must_agree():
    with pytest.raises(TraceError, match="differ"):
        tree.map_leaves(lambda a, b: a, {"a": 1}, {"b": 1})
    with pytest.raises(TraceError, match="leaves are expected"):
        tree.flatten([1, 2])[1].unflatten([1])


nestings = st.recursive(
    st.floats(allow_nan=False) | st.integers() | st.none() | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=3)
        | st.lists(children, max_size=3).map(tuple)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), children, max_size=3)
    ),
    max_leaves=12,
)


@given(nestings)
def test_unflatten_is_the_inverse_of_flatten(nested):
    leaves, structure = tree.flatten(nested)
    assert structure.unflatten(leaves) == nested
    assert len(structure.paths()) == len(leaves)
    assert len(set(structure.paths())) == len(leaves)
