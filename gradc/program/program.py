"""Programs: one state, several entry points, one C file and one struct.

Enters: a nesting of arrays as the state, and entry points made with `query` and `update`. Leaves: a
`Program` with a callable for each. Always holds: a new state takes its place in the struct when the
call returns; a call that raises has changed nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..calls import usage
from ..errors import ArgumentError, NoAttributeError, TraceError, fail, user_errors
from ..graph import Graph
from ..native.arguments import Nesting
from ..native.call import compile_call, nested
from ..native.state import State
from .core import Core, build_core
from .entries import EntryDef, EntryTrace, state_leaves
from .held import Held
from .names import program_name
from .options import make_options


class Program(Held):
    """A compiled program; each entry point is an attribute that can be called.

    Made by `gd.program`. The first call builds the C. Calls of one program take turns, from
    whichever thread they come. `state` holds NumPy views of the struct by path. A pickle holds the
    C and the state, not the Python functions; `copy.deepcopy` gives a program with a state of its
    own, `copy.copy` one that shares it.
    """

    def __init__(
        self, core: Core, kinds: Mapping[str, str], traces: Mapping[str, EntryTrace]
    ) -> None:
        self._core = core
        self._kinds = kinds
        self._traces = traces
        for name in kinds:
            setattr(self, name, self._not_built(name))

    def __getstate__(self) -> dict[str, Any]:
        """The C and the state; the Python functions it was traced from stay behind."""
        return {"core": self._core, "kinds": self._kinds, "traces": self._traces}

    def __setstate__(self, parts: dict[str, Any]) -> None:
        self.__init__(**parts)  # type: ignore[misc]

    def __copy__(self) -> Program:
        return Program(self._core, self._kinds, self._traces)

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        return Program(copy.deepcopy(self._core, memo), self._kinds, self._traces)

    @user_errors
    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        known = ", ".join(f"`{label}`" for label in self._kinds)
        raise fail(
            NoAttributeError,
            "GC423",
            f"program `{self.name}` has no entry point `{name}`",
            helps=(f"call one that it has: {known}",),
        )

    def _not_built(self, name: str) -> Callable[..., Any]:
        """The entry point until its first call, which puts the generated function in its place."""

        @user_errors
        def first_call(*args: Any, **by_name: Any) -> Any:
            if getattr(self, name) is first_call:
                arguments = self._traces[name].arguments
                run = compile_call(self._core.entry(name), nested(self._traces[name].results))
                call = run if arguments.flat else _through_nesting(run, arguments)
                setattr(self, name, call)
            return getattr(self, name)(*args, **by_name)

        first_call.__name__ = first_call.__qualname__ = name
        return first_call

    @property
    def state(self) -> State:
        """NumPy views of the struct's members by path (`prog.state["net.fc1.weight"]`)."""
        assert self._core.state is not None
        return self._core.state

    def graph(self, entry: str) -> Graph:
        """The graph of the entry point called `entry`, after all passes."""
        return self._core.graph(entry)

    def __repr__(self) -> str:
        lines = [f"gradc.Program {self.name}: state {self.state.memory.size:,} B"]
        for name, plan in self.plans.items():
            what = f"{len(plan.order)} kernels, arena {plan.arena_bytes:,} B"
            lines.append(f"  {name:<16} {self._kinds[name]:<6} {what}")
        return "\n".join(lines[:12])


@user_errors
@usage("give entry points by name: `act=gd.query(act, ...)`")
def program(
    name: str,
    state: Any,
    *,
    target: str = "native",
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    cache_dir: str | Path | None = None,
    **entries: EntryDef,
) -> Program:
    """Compile a state and `entries` made with `query` and `update`; a `gd.Program`.

    `state` is any nesting of arrays (modules included), of any shapes and dtypes; its values are
    the initial state. Each entry is a method of the program, `prog.act(obs)`; in C it is
    `agent_act(agent_state *, ...)`.

    `name` is what the C functions are called, a C identifier. `target` is "native" (the vector unit
    of this machine) or "portable" (plain ISO C). `compiler` is a command, such as "clang" or "zig";
    without it `$CC` decides, else what is found. `cflags` are added to gradc's own flags.
    `cache_dir` is where builds are kept.

    Raises `TraceError`, `ShapeError`, `DTypeError` or `UnsupportedError` at the line of an entry
    that cannot be traced or gives a new state unlike the old one, `ArgumentError` for an option or
    a name that means nothing; the first call `BuildError` if the C cannot be built.
    """
    _check_labels(entries)
    options = make_options(program_name(name), target, compiler, cflags, cache_dir)
    known = state_leaves(state, lambda path: path)
    if not known.leaves:
        message = "the state of a program holds at least one array"
        helps = ("compile a function without state by `gd.compile`",)
        raise fail(TraceError, "GC501", message, helps=helps)
    core, traces = build_core(entries, known, options)
    kinds = {name: "update" if entry.updates else "query" for name, entry in entries.items()}
    return Program(core, kinds, traces)


def _through_nesting(run: Callable[..., Any], arguments: Nesting) -> Callable[..., Any]:
    """`run` for arguments that are containers of arrays."""

    @user_errors
    def call(*args: Any) -> Any:
        return run(*arguments.inputs(args))

    return call


def _check_labels(entries: Mapping[str, Any]) -> None:
    """Entry points are attributes in Python and functions in C."""
    if not entries:
        raise fail(TraceError, "GC506", "a program needs at least one entry point")
    for label, entry in entries.items():
        if not isinstance(entry, EntryDef):
            raise fail(
                TraceError,
                "GC507",
                f"entry point `{label}` must be made with `gd.query` or `gd.update`",
                helps=(f"write `{label}=gd.query(function, ...)`, with a spec for each argument",),
            )
        if not (label.isascii() and label.isidentifier()) or label.startswith("_"):
            message = f"`{label}` cannot name an entry point"
            help_ = "use letters, digits and underscores, and a letter first"
            raise fail(ArgumentError, "GC511", message, helps=(help_,))
        if hasattr(Program, label):
            message = f"`{label}` cannot name an entry point: every program has a `{label}`"
            raise fail(ArgumentError, "GC511", message)
