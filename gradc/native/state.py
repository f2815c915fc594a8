"""The memory of a program's state under Python.

Enters: the layout of the struct in C. Leaves: `State`, NumPy views of its members by name. Always
holds: the memory begins at a cache line and outlives every pointer to it; a lock belongs to it, so
that calls that use it take turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..conversion import in_dtype
from ..dtypes import short
from ..emit.layout import Member, StateLayout
from ..errors import ShapeError, UnknownNameError, fail, user_errors
from ..forks import fork_safe_lock
from ..namespace import nearest
from .arguments import as_array, describe, shape_help

Array = np.ndarray[Any, Any]
ALIGNMENT = 64


def aligned_bytes(count: int) -> Array:
    """`count` zero bytes that begin at a cache line."""
    raw = np.zeros(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


class State(Mapping[str, Array]):
    """The memory of a program's struct, as NumPy views by name; assigning to one copies.

    A process forked while another thread is in a call has the memory as it was at that moment.
    """

    def __init__(self, layout: StateLayout, names: Sequence[str]) -> None:
        members = layout.members
        self._definition = (layout, tuple(names))
        self.memory = aligned_bytes(layout.nbytes)
        self.lock = fork_safe_lock()
        self._views = {
            name: self._view(member) for name, member in zip(names, members, strict=True)
        }
        for name, member in zip(names, members, strict=True):
            self._views[name][...] = member.initial

    def __reduce__(self) -> tuple[Any, ...]:
        with self.lock:
            return _state, (*self._definition, self.memory.tobytes())

    def _view(self, m: Member) -> Array:
        flat = self.memory[m.offset : m.offset + m.nbytes].view(m.dtype)
        stored = flat.reshape(m.stored_shape)
        return stored.T if m.swapped else stored

    @user_errors
    def __getitem__(self, name: str) -> Array:
        if name not in self._views:
            raise unknown_name(name, "the state has no", self._views)
        return self._views[name]

    @user_errors
    def __setitem__(self, name: str, value: Any) -> None:
        """Copy `value`, of the array's shape and a dtype that converts to its, into the memory."""
        view = self[name]
        array = as_array(value, name)
        wanted = short(view.dtype, view.shape)
        if array.shape != view.shape:
            message = f"`{name}` must be {wanted}, got {describe(value)}"
            helps = (shape_help(name, array, view.shape),)
            raise fail(ShapeError, "GC402", message, helps=helps)
        converted = in_dtype(array, view.dtype, name, wanted, weak=not hasattr(value, "dtype"))
        with self.lock:
            view[...] = converted

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        shown = [f"  {n}: {short(v.dtype, v.shape)}" for n, v in self._views.items()]
        more = [f"  ... {len(shown) - 10} more"] if len(shown) > 10 else []
        return "\n".join([f"state of {self.memory.size:,} bytes", *shown[:10], *more])


def _state(layout: StateLayout, names: Sequence[str], memory: bytes) -> State:
    """The state that was pickled or copied, in memory of its own."""
    state = State(layout, names)
    state.memory[...] = np.frombuffer(memory, np.uint8)
    return state


def unknown_name(name: object, what: str, known: Iterable[str]) -> UnknownNameError:
    """The error of a name that is not among the `known` ones."""
    names = list(known)
    near = nearest(str(name), names)
    listed = ", ".join(f"`{n}`" for n in names[:8]) + (", ..." if len(names) > 8 else "")
    help_ = f"write `{near[0]}`" if near else f"choose one of {listed}"
    notes = (f"there are {listed}",) if near else ()
    return fail(UnknownNameError, "GC422", f"{what} `{name}`", notes=notes, helps=(help_,))
