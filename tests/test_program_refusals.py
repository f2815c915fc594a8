"""What is no program: wrong states, entry points and names, and what is said of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc.errors import ArgumentError, DTypeError, ShapeError, TraceError

A = np.zeros(3, np.float32)
REFUSED = [
    ("no pair", lambda s: {"a": s["a"]}, TraceError, r"`step` must return a pair .*got a `dict`"),
    ("only a state", lambda s: (s,), TraceError, "must return a pair"),
    ("nothing", lambda s: None, TraceError, r"got a `NoneType`"),
    ("missing", lambda s: ({}, None), TraceError, "differs from the old one: missing `a`"),
    ("extra", lambda s: ({**s, "b": s["a"]}, None), TraceError, "unexpected `b`"),
    ("renamed", lambda s: ({"b": s["a"]}, None), TraceError, "missing `a`; unexpected `b`"),
    ("shape", lambda s: ({"a": s["a"][:2]}, None), ShapeError, r"new `a` is f32\[2\].*f32\[3\]"),
    ("dtype", lambda s: ({"a": s["a"] > 0}, None), ShapeError, r"new `a` is bool\[3\].*f32\[3\]"),
]


@pytest.mark.parametrize(
    ("fn", "kind", "text"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_a_new_state_unlike_the_old_one_is_refused(fn, kind, text):
    with pytest.raises(kind, match=text):
        gd.program("bad", {"a": A}, step=gd.update(fn))


def test_a_wrong_new_state_is_shown_at_the_users_line():
    def step(state: Any) -> Any:
        return {"a": state["a"].sum()}, None

    with pytest.raises(ShapeError) as found:
        gd.program("bad", {"a": A}, step=gd.update(step))
    label = found.value.diagnostic.labels[0]
    assert label.span.file == __file__
    assert label.span.line == step.__code__.co_firstlineno + 1


@pytest.mark.parametrize("label", ["state_", "plans", "build", "export", "_hidden", "a b", "été"])
def test_an_entry_point_needs_a_name_of_its_own(label):
    entries = {label: gd.query(lambda s: s["a"])}
    if label == "state_":
        assert gd.program("named", {"a": A}, **entries).state_().tolist() == [0, 0, 0]
        return
    with pytest.raises(ArgumentError, match="cannot name an entry point"):
        gd.program("named", {"a": A}, **entries)


def test_functions_of_one_program_must_not_collide_in_c():
    def step(state: Any, x: Any) -> Any:
        return {"a": state["a"] + x.sum(axis=0)}, None

    with pytest.raises(ArgumentError, match="`named_steps` in C"):
        gd.program(
            "named",
            {"a": A},
            step=gd.update(step, gd.f32[4, 3]),
            steps=gd.query(lambda s: s["a"]),
        )
    with pytest.raises(
        ArgumentError, match="`named_init` in C, which is the function that initialises the state"
    ):
        gd.program("named", {"a": A}, init=gd.query(lambda s: s["a"]))


def test_members_may_be_words_of_c():
    state = {"class": np.ones(3, np.float32), "int": A, "NAN": A.copy(), "k": A.copy()}
    program = gd.program("words", state, q=gd.query(lambda s, x: np.exp(x) * s["class"], gd.f32[3]))
    np.testing.assert_allclose(program.q(A), [1, 1, 1], rtol=1e-6)
    assert list(program.state) == list(state)


def test_a_program_needs_entry_points_made_for_it():
    with pytest.raises(TraceError, match="at least one entry point"):
        gd.program("empty", {"a": A})
    with pytest.raises(TraceError, match=r"`f` must be made with `gd\.query`"):
        gd.program("plain", {"a": A}, f=lambda s: s)
    with pytest.raises(TraceError, match="at least one array"):
        gd.program("empty", {}, f=gd.query(lambda s, x: x, gd.f32[3]))


def test_objects_are_no_state():
    with pytest.raises(DTypeError, match="`a` has dtype `object`"):
        gd.program("objects", {"a": np.array([1, None])}, f=gd.query(lambda s: s["a"]))
