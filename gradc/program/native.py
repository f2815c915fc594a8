"""The generated C under Python: the memory of a state, and the C functions that work on it.

Enters: a `Compiled` program and its native module. Leaves: `State` and one `NativeEntry` for each
entry point. Always holds: a state and an arena begin at a cache line and outlive every pointer to
them; all entry points of one state share its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..conversion import in_dtype
from ..dtypes import DType, c_name, short
from ..emit.entry import Argument, Entry, aligned
from ..emit.interface import Interface
from ..emit.layout import PARAMS, Member, StateLayout
from ..errors import DataError, ShapeError, UnknownNameError, fail, user_errors
from ..forks import fork_safe_lock
from ..namespace import nearest
from .arguments import as_array, check_ranges, describe, shape_help
from .call import LIST, Form, compile_call

if TYPE_CHECKING:
    from ..toolchain.build import NativeModule

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


class NativeEntry:
    """One C function, and what it needs beside its arguments: state, arena, lock."""

    def __init__(
        self, entry: Entry, interface: Interface, module: NativeModule, state: State | None
    ) -> None:
        self.entry = entry
        self.name = interface.function(entry)
        self.ffi = module.ffi
        self.function = getattr(module.lib, self.name)
        self.many = getattr(module.lib, f"{self.name}s") if entry.repeats else None
        self.state = state
        self.lock = state.lock if state is not None else fork_safe_lock()
        self._c_arrays: dict[DType, Any] = {}
        self.state_pointer = self._state_pointer(interface)
        size, steps = entry.plan.memory.arena_bytes, interface.has_steps_arena(entry)
        self.arena = aligned_bytes(interface.steps_arena_bytes(entry) if steps else aligned(size))
        self.arena_pointer = self._arena_pointer(interface.arena_type) if entry.arena else None
        self.steps_arena_pointer = (
            self._arena_pointer(interface.steps_arena_type(entry)) if steps else self.arena_pointer
        )

    def _state_pointer(self, interface: Interface) -> Any:
        """What comes before the outputs: the state, or the parameters in it; None without state."""
        if self.state is None:
            return None
        layout, memory = interface.layout, self.state.memory
        assert layout is not None
        if self.entry.scope == PARAMS and layout.params is not None:
            memory = memory[layout.params.offset :]
        type_ = f"{interface.name}_{self.entry.scope} *"
        return self.ffi.cast(type_, self.ffi.from_buffer(memory))

    def _arena_pointer(self, type_: str) -> Any:
        return self.ffi.cast(f"{type_} *", self.ffi.from_buffer(self.arena))

    def c_array(self, a: Argument) -> Any:
        """The cffi type of an argument's elements, as an array of any length."""
        if a.dtype not in self._c_arrays:
            self._c_arrays[a.dtype] = self.ffi.typeof(f"{c_name(a.dtype)}[]")
        return self._c_arrays[a.dtype]

    @property
    def written(self) -> Array | None:
        """The memory that a call writes to beside its outputs, which are new."""
        return self.state.memory if self.state is not None and self.entry.updates else None

    def apart(self, value: Any) -> Any:
        """An argument as C may read it while it writes: a copy of what lies in the state."""
        if self.written is None or not isinstance(value, np.ndarray):
            return value
        return value.copy() if np.may_share_memory(value, self.written) else value

    def function_for(
        self, form: Form, defaults: Mapping[str, float] | None = None, hint: str = ""
    ) -> Callable[..., Any]:
        """A Python function with the results in a form of their own: see `compile_call`."""
        return compile_call(self, form, defaults or {}, hint)

    def call(self, args: Sequence[Any]) -> list[Any]:
        """Call it with all arguments in order; returns the list of outputs."""
        outputs: list[Any] = self._listing(*args)
        return outputs

    @cached_property
    def _listing(self) -> Callable[..., Any]:
        return self.function_for(LIST)

    def diagnose(self, values: Sequence[Any]) -> None:
        """Raise: the C refused the arguments, since an integer lay outside what it may be."""
        check_ranges(self.entry, values)
        message = f"`{self.name}` refused its arguments, which have changed since"
        raise fail(DataError, "GC419", message, helps=("do not write to arrays during a call",))
