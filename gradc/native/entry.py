"""The C functions of a program under Python, before anybody has called them.

Enters: an entry point, its native module, the state. Leaves: a `NativeEntry`: the function in C and
all that it needs beside its arguments. Always holds: an arena begins at a cache line and outlives
every pointer to it; all entry points of one state share its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import DType, c_name
from ..emit.entry import Argument, Entry, aligned
from ..emit.interface import Interface
from ..emit.layout import PARAMS
from ..errors import DataError, fail
from ..forks import fork_safe_lock
from .arguments import check_ranges
from .state import State, aligned_bytes

if TYPE_CHECKING:
    from ..toolchain.build import NativeModule

Array = np.ndarray[Any, Any]


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

    def diagnose(self, values: Sequence[Any]) -> None:
        """Raise: the C refused the arguments, since an integer lay outside what it may be, or one
        that it computed of them.
        """
        check_ranges(self.entry, values)
        if self.entry.guards:
            ranges = [f"`{g.what}` within {g.lower}..{g.upper - 1}" for g in self.entry.guards]
            message = f"`{self.name}` computed an integer out of range and wrote nothing"
            raise fail(DataError, "GC424", message, notes=(f"it wants {', '.join(ranges)}",))
        message = f"`{self.name}` refused its arguments, which have changed since"
        raise fail(DataError, "GC419", message, helps=("do not write to arrays during a call",))
