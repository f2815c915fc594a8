"""The generated C under Python: memory of the state, and calls with checked arguments.

Enters: a `Compiled` program and its native module. Leaves: `State` and one `NativeEntry` for each
entry point. Always holds: C is only entered with arrays of the exact dtype and shape, contiguous,
and with an arena of its own; what is wrong with an argument is said before the call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..dtypes import SHORT, Spec
from ..emit.entry import Argument, Entry
from ..emit.state import Member, state_bytes
from ..errors import DataError, DTypeError, ShapeError, fail

Array = np.ndarray[Any, Any]
ALIGNMENT = 64


def aligned_bytes(count: int) -> Array:
    """`count` zero bytes that begin at a cache line."""
    raw = np.zeros(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


class State(Mapping[str, Array]):
    """The memory of a program's struct, as NumPy views by name; assign with `[...] =`."""

    def __init__(self, members: Sequence[Member], names: Sequence[str]) -> None:
        self.memory = aligned_bytes(state_bytes(members))
        self.lock = threading.Lock()
        self._views = {
            name: self._view(member) for name, member in zip(names, members, strict=True)
        }
        for name, member in zip(names, members, strict=True):
            self._views[name][...] = member.initial

    def _view(self, m: Member) -> Array:
        flat = self.memory[m.offset : m.offset + m.nbytes].view(m.dtype)
        stored = flat.reshape(m.stored_shape)
        return stored.T if m.swapped else stored

    def __getitem__(self, name: str) -> Array:
        try:
            return self._views[name]
        except KeyError:
            raise KeyError(f"{name!r}; the state has {', '.join(self._views)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        shown = [f"  {n}: {SHORT[v.dtype]}{list(v.shape)}" for n, v in self._views.items()]
        more = [f"  ... {len(shown) - 10} more"] if len(shown) > 10 else []
        return "\n".join([f"state of {self.memory.size:,} bytes", *shown[:10], *more])


class NativeEntry:
    """One C function, callable with arrays.

    Returns the list of its outputs: floats for floating-point scalars, fresh arrays for the rest.
    """

    def __init__(
        self,
        entry: Entry,
        name: str,
        function: Callable[..., Any],
        ffi: Any,
        state: State | None,
        arena: Array,
        lock: threading.Lock,
    ) -> None:
        self.entry = entry
        self.name = name
        self.ffi = ffi
        self.function = function
        self.lock = lock
        self.arena = arena
        self.arena_pointer = ffi.from_buffer("void *", arena) if arena.size else ffi.NULL
        self.state_pointer = None
        if state is not None:
            tag = ffi.typeof(function).args[0]
            self.state_pointer = ffi.cast(tag, ffi.from_buffer(state.memory))
        self.types = [ffi.typeof(f"{c_type(a)}[]") for a in entry.args]

    def checked(self, position: int, value: Any) -> Any:
        """An argument as the C wants it, copied if it must be; `ShapeError` or `DTypeError`."""
        a = self.entry.args[position]
        if not a.shape and not isinstance(value, np.ndarray):
            return scalar(a, value)
        array = np.asarray(value)
        if array.shape != a.shape:
            expected, got = Spec(a.shape, a.dtype), f"shape {list(array.shape)}"
            raise fail(ShapeError, "GC402", f"argument `{a.name}` must be {expected}, got {got}")
        if array.dtype != a.dtype:
            if isinstance(value, np.ndarray) or array.dtype.kind not in "bif":
                raise _wrong_dtype(a, array)
            array = _from_list(a, array)
        if not a.shape:
            return scalar(a, array.item())
        return np.ascontiguousarray(array)

    def call(self, args: Sequence[Any]) -> list[Any]:
        """Check, run, and return the outputs in order."""
        e = self.entry
        if len(args) != len(e.args):
            names = ", ".join(a.name for a in e.args)
            raise fail(
                ShapeError,
                "GC403",
                f"`{e.name}` takes {len(e.args)} arguments ({names}), got {len(args)}",
            )
        values = [self.checked(k, v) for k, v in enumerate(args)]
        outputs = [np.empty(a.shape, a.dtype) for a in e.pointers]
        given = [
            self.ffi.from_buffer(t, v) if a.shape else v
            for t, v, a in zip(self.types, values, e.args, strict=True)
        ]
        pointers = [_pointer(self.ffi, a, out) for a, out in zip(e.pointers, outputs, strict=True)]
        state = [] if self.state_pointer is None else [self.state_pointer]
        with self.lock:
            result = self.function(*state, *given, *pointers, self.arena_pointer)
        if e.checks:
            self.diagnose(result, values)
        first = [result] if e.returns_value else []
        return first + [_plain(out) for out in outputs]

    def diagnose(self, result: Any, values: Sequence[Any]) -> None:
        """Raise if the C refused the arguments: an integer lay outside what it may be."""
        if self.entry.returns_value and result == result:
            return
        if not self.entry.returns_value and result == 0:
            return
        check_ranges(self.entry, values)

    def fast(self, defaults: Mapping[str, float]) -> Callable[..., list[Any]]:
        """`call` with the usual case, right arrays all along, compiled to a few tests.

        The checks are written out once for this entry point's arguments (and compiled by `exec`),
        since a loop over them would take longer than many a small step.
        """
        return compile_call(self, defaults)


def compile_call(native: NativeEntry, defaults: Mapping[str, float]) -> Callable[..., list[Any]]:
    """See `NativeEntry.fast`; `defaults` are values of scalar arguments that need not be given."""
    e = native.entry
    scope: dict[str, Any] = {
        "ndarray": np.ndarray, "buffer": native.ffi.from_buffer, "function": native.function,
        "lock": native.lock, "arena": native.arena_pointer, "state": native.state_pointer,
        "slow": native.call, "float": float, "empty": np.empty, "plain": _plain,
        "diagnose": native.diagnose,
    }  # fmt: skip
    params, tests, given, outs, results = [], [], [], [], []
    for k, a in enumerate(e.args):
        scope |= {f"dtype{k}": a.dtype, f"shape{k}": a.shape, f"type{k}": native.types[k]}
        if a.name in defaults:
            scope[f"default{k}"] = float(defaults[a.name])
            params.append(f"a{k}=default{k}")
        else:
            params.append(f"a{k}")
        if a.shape:
            tests.append(f"a{k}.__class__ is ndarray and a{k}.shape == shape{k}")
            tests.append(f"(a{k}.dtype is dtype{k} or a{k}.dtype == dtype{k})")
            tests.append(f"a{k}.flags.c_contiguous")
            given.append(f"buffer(type{k}, a{k})")
        else:
            tests.append(f"a{k}.__class__ is float" if a.dtype.kind == "f" else "False")
            given.append(f"a{k}")
    lines = [f"def call({', '.join(params)}):"]
    everything = ", ".join(f"a{k}" for k in range(len(e.args)))
    lines.append(f"    if not ({' and '.join(tests) or 'True'}):")
    lines.append(f"        return slow([{everything}])")
    for k, a in enumerate(e.pointers):
        scope |= {f"out_dtype{k}": a.dtype, f"out_shape{k}": a.shape}
        scope[f"out_type{k}"] = native.ffi.typeof(f"{c_type(a)}[]")
        lines.append(f"    out{k} = empty(out_shape{k}, out_dtype{k})")
        outs.append(f"buffer(out_type{k}, out{k}, True)")
        results.append(f"plain(out{k})")
    state = ["state"] if native.state_pointer is not None else []
    call = ", ".join([*state, *given, *outs, "arena"])
    lines += ["    with lock:", f"        result = function({call})"]
    if e.checks:
        failed = "result != result" if e.returns_value else "result"
        lines += [f"    if {failed}:", f"        diagnose(result, [{everything}])"]
    first = ["result"] if e.returns_value else []
    lines.append(f"    return [{', '.join(first + results)}]")
    exec("\n".join(lines), scope)
    return scope["call"]  # type: ignore[no-any-return]


def c_type(a: Argument) -> str:
    """The C type of an element, as cffi spells it."""
    names = {"float32": "float", "float64": "double", "bool": "uint8_t"}
    return names.get(a.dtype.name, f"{a.dtype.name}_t")


def _pointer(ffi: Any, a: Argument, out: Array) -> Any:
    return ffi.from_buffer(f"{c_type(a)}[]", out, require_writable=True)


def _plain(out: Array) -> Any:
    """A 0-d array as the NumPy scalar that NumPy itself would return."""
    return out if out.ndim else out[()]


def scalar(a: Argument, value: Any) -> Any:
    """A scalar argument as the Python number that cffi passes by value."""
    kind = a.dtype.kind
    if kind == "f" and isinstance(value, (int, float, np.floating, np.integer)):
        return float(value)
    if kind in "iu" and isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        info = np.iinfo(a.dtype)
        if info.min <= value <= info.max:
            return int(value)
        raise fail(
            DataError, "GC404", f"argument `{a.name}`: {value} does not fit `{SHORT[a.dtype]}`"
        )
    if kind == "b" and isinstance(value, (bool, np.bool_)):
        return int(value)
    got = type(value).__name__
    raise fail(
        DTypeError, "GC405", f"argument `{a.name}` must be a `{SHORT[a.dtype]}` scalar, got {got}"
    )


def _wrong_dtype(a: Argument, array: Array) -> DTypeError:
    got = SHORT.get(array.dtype, str(array.dtype))
    return fail(
        DTypeError,
        "GC405",
        f"argument `{a.name}` must have dtype `{SHORT[a.dtype]}`, got `{got}`",
        helps=(f"cast it: `{a.name}.astype(np.{a.dtype.name})`",),
    )


def _from_list(a: Argument, array: Array) -> Array:
    """Python numbers, which have no dtype of their own, in the dtype asked for."""
    converted = array.astype(a.dtype)
    if a.dtype.kind in "iub" and not np.array_equal(converted, array):
        raise _wrong_dtype(a, array)
    return converted


def check_ranges(entry: Entry, values: Sequence[Any], rows: Array | None = None) -> None:
    """Raise `DataError` naming the first integer outside its range; `rows` limits the search."""
    for c in entry.checks:
        a = entry.args[c.position]
        array = np.asarray(values[c.position])
        if rows is not None:
            array = array[rows]
        outside = (array < c.lower) | (array >= c.upper)
        if outside.any():
            where = [int(i) for i in np.argwhere(outside)[0]]
            value = array[tuple(where)]
            raise fail(
                DataError,
                "GC401",
                f"`{a.name}{where if where else ''}` is {value}, outside {c.lower}..{c.upper - 1}",
                notes=("nothing was computed and the state is unchanged",),
            )
