"""The parameters of a training step, by name in Python and as data in exported files.

Enters: the state of a step. Leaves: `Params`, its views by the model's names, and the files of the
parameters. Always holds: files have the layout of the C they are exported with, whatever that of
the state their values come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import numpy as np

from ..dtypes import Spec, short
from ..emit.parameters import parameters_file, parameters_header, parameters_source
from ..errors import ArgumentError, CheckpointError, fail, user_errors
from ..native.state import State, unknown_name
from .core import Core

Array = np.ndarray[Any, Any]
Which = Literal["current", "initial", "none"]
Format = Literal["c", "bin"]


class Params(Mapping[str, Array]):
    """The model's parameters by name, as views of the C struct; a tied array has all its names."""

    def __init__(self, state: State, names: Mapping[str, str]) -> None:
        self._state = state
        self._names = dict(names)

    @user_errors
    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise unknown_name(name, "the model has no parameter", self._names)
        return self._state[self._names[name]]

    @user_errors
    def __setitem__(self, name: str, value: Any) -> None:
        """Copy `value`, of the parameter's shape and a dtype that converts to its, into the C."""
        if name not in self._names:
            raise unknown_name(name, "the model has no parameter", self._names)
        self._state[self._names[name]] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        rows = [f"  {n}: {Spec(v.shape, v.dtype)!r}" for n, v in self.items()]
        more = [f"  ... {len(rows) - 10} more"] if len(rows) > 10 else []
        return "\n".join(["parameters", *rows[:10], *more])


def check_tensors(arrays: Mapping[str, Array], state: Mapping[str, Array]) -> None:
    """Raise `CheckpointError` unless the tensors have the names, shapes and dtypes of the state."""
    for name in (*state, *arrays):
        if name not in arrays:
            raise fail(CheckpointError, "GC420", f"tensor `{name}` is missing")
        if name not in state:
            raise fail(CheckpointError, "GC420", f"tensor `{name}` is not of this program")
    for name, here in state.items():
        there = arrays[name]
        if here.shape != there.shape or here.dtype != there.dtype.newbyteorder("="):
            expected, got = (short(a.dtype, a.shape) for a in (here, there))
            message = f"tensor `{name}` is {got}, the program has {expected}"
            raise fail(CheckpointError, "GC421", message)


def parameter_files(core: Core, state: State, which: Which, form: Format) -> dict[str, str | bytes]:
    """The files that hold the parameters, for the C of `core`; the current ones are in `state`.

    Raises `ArgumentError` for a choice that is none.
    """
    _check_choice("parameters", which, get_args(Which))
    _check_choice("parameters_format", form, get_args(Format))
    if which == "none":
        return {}
    interface = core.compiled.interface
    layout = interface.layout
    assert layout is not None
    assert layout.params is not None, "a step has parameters"
    members = layout.params.members
    if which == "initial":
        values = [m.initial for m in members]
    else:
        with state.lock:
            values = [state[core.state_names[m.leaf]].copy() for m in members]
    name = f"{interface.name}_parameters"
    if form == "bin":
        return {f"{name}.bin": parameters_file(interface, values)}
    return {
        f"{name}.h": parameters_header(interface),
        f"{name}.c": parameters_source(interface, values),
    }


def _check_choice(argument: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        listed = ", ".join(f'"{choice}"' for choice in known)
        message = f"unknown `{argument}` {value!r}"
        raise fail(ArgumentError, "GC434", message, helps=(f"choose one of {listed}",))
