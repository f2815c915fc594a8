"""Compiled functions: `compile` for given shapes, `jit` for whatever shapes come.

Enters: a Python function of arrays, in any nesting. Leaves: a `Function`, which computes the same
with the generated C. Always holds: results have the structure, shapes and dtypes that the traced
function gave.
"""

from __future__ import annotations

import copy
import functools
import inspect
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, fail, user_errors
from ..graph import Graph
from ..native.arguments import Nesting, is_plain, settings
from ..native.call import compile_call, nested
from ..plan.memory import MemoryPlan
from ..stages import Job
from ..trace import Traced, current_trace, spec_of, trace_tree
from ..trace import argument_names as trace_names
from ..trace.given import need_arguments, need_function, need_specs
from ..tree import flatten
from .core import Core, make_core
from .held import Held, Quick
from .names import argument_names, derived_name, input_paths, output_names, program_name
from .options import make_options, target_of


class Function(Held, Quick):
    """A compiled function of arrays; call it like the Python function it came from.

    Made by `gd.compile`. Arrays must have the shapes it was compiled for; other dtypes are
    converted by NumPy's `same_kind` rule, and a number that does not fit is an error. The first
    call builds the C. `source`, `header`, `graph`, `plan`, `kernels` and `stages` show what was
    made. A pickle holds the C, not the Python function. Calls of one function take turns; what
    `copy.deepcopy` gives has an arena of its own and can run beside it.
    """

    def __init__(
        self, core: Core, traced: Traced, name: str, arguments: Nesting, fn: Callable[..., Any]
    ) -> None:
        self._core = core
        self._results = traced.out_tree
        self._specs = {
            path: traced.graph[i].spec
            for path, i in zip(traced.paths, traced.graph.inputs, strict=False)
        }
        self._arguments = arguments
        self._parameters = tuple(_parameters(fn))
        self._label = name
        self._called_through(self._first_call)

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))

    def __setstate__(self, kept: dict[str, Any]) -> None:
        vars(self).update(kept)
        self._called_through(self._first_call)

    def __copy__(self) -> Function:
        return self._over(self._core)

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        return self._over(copy.deepcopy(self._core, memo))

    def _over(self, core: Core) -> Function:
        """The same function over another core."""
        other = object.__new__(Function)
        other.__setstate__({**self.__getstate__(), "_core": core})
        return other

    @user_errors
    def _first_call(self, *args: Any, **by_name: Any) -> Any:
        """Build, then call and be called without this step in between."""
        run = compile_call(self._core.entry(""), nested(self._results))
        if not self._arguments.flat:
            run = self._through_nesting(run)
        self._called_through(run)
        return run(*args, **by_name)

    def _through_nesting(self, run: Callable[..., Any]) -> Callable[..., Any]:
        arguments, signature = self._arguments, inspect.Signature(self._parameters)

        @user_errors
        def call(*args: Any, **by_name: Any) -> Any:
            return run(*arguments.inputs(positional(signature, args, by_name)))

        return call

    @property
    def name(self) -> str:
        """What it is called: the name given, or that of the Python function."""
        return self._label

    @property
    def graph(self) -> Graph:
        """The graph as it was compiled, after all passes."""
        return self._core.graph("")

    @property
    def plan(self) -> MemoryPlan:
        """The memory plan."""
        return self.plans[""]

    def __repr__(self) -> str:
        args = ", ".join(f"{path}: {spec!r}" for path, spec in self._specs.items())
        plan = self.plan
        size = f"{len(self.kernels)} kernels, arena {plan.arena_bytes:,} B"
        return f"gradc.Function {self.name}({args}), {size}"


@user_errors
def compile(  # noqa: A001 (as NumPy-like compilers call it)
    fn: Callable[..., Any],
    *args: Any,
    name: str | None = None,
    target: str = "native",
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    cache_dir: str | Path | None = None,
) -> Function:
    """Compile `fn` for arguments like `args`: specs or arrays, in any nesting; a `gd.Function`.

    Results have the nesting, shapes and dtypes that `fn` gave; in C they are called after their
    keys, those of `value_and_grad` are `value` and `d_x`, others `out`.

    `name` is what the C functions are called, a C identifier. `target` is "native" (the vector unit
    of this machine) or "portable" (plain ISO C). `compiler` is a command, such as "clang" or "zig";
    without it `$CC` decides, else what is found. `cflags` are added to gradc's own flags.
    `cache_dir` is where builds are kept. By default the name is that of `fn`.

    Raises `TraceError`, `ShapeError`, `DTypeError` or `UnsupportedError` at the line of `fn` that
    cannot be traced, `ArgumentError` for an option that means nothing. The C compiler runs when the
    function is first called, which raises `BuildError` if there is none or it refuses.
    """
    need_specs(args, "compile")
    return compile_for(fn, args, name, target, compiler, cflags, cache_dir)


def compile_for(
    fn: Callable[..., Any],
    args: Sequence[Any],
    name: str | None = None,
    target: str = "native",
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    cache_dir: str | Path | None = None,
) -> Function:
    """`compile`, for arguments among which there may be dtypes, as settings."""
    need_function(fn, "compile")
    need_arguments(fn, len(args))
    label = getattr(fn, "__name__", "function") if name is None else name
    c_label = derived_name(label.strip("<>")) if name is None else program_name(name)
    options = make_options(c_label, target, compiler, cflags, cache_dir)
    start = time.perf_counter()
    traced = trace_tree(fn, *args, tied=False)
    seconds = time.perf_counter() - start
    arguments, names = argument_names(input_paths(traced))
    results = output_names(traced.out_tree, traced.labels, names)
    job = Job("", traced.graph, 0, (), arguments, results, target_of(options))
    core = make_core(options, (), [job], traced_seconds=seconds)
    labels = trace_names(fn, len(args))
    nesting = Nesting(label, labels, traced.in_tree.children, traced.leaf_inputs)
    return Function(core, traced, label, nesting, fn)


@user_errors
def jit(fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`compile` on the first call for each new combination of shapes, dtypes and settings.

    `fn` is a function of arrays in any nesting, `options` are those of `compile`, and so is what a
    call raises: `TraceError` and the like while tracing, `BuildError` while building.
    `jitted.specialisations` maps what was told apart to `Function`s. Inside a traced function `fn`
    is traced along.
    """
    need_function(fn, "jit")
    known: dict[Any, Function] = {}

    @user_errors
    @functools.wraps(fn)
    def jitted(*args: Any, **by_name: Any) -> Any:
        if by_name:
            args = positional(inspect.signature(fn), args, by_name)
        if current_trace() is not None:
            return fn(*args)
        key = _specialisation(args)
        if key not in known:
            known[key] = compile_for(fn, args, **options)
        return known[key](*args)

    jitted.specialisations = known  # type: ignore[attr-defined]
    return jitted


def _specialisation(args: Sequence[Any]) -> Any:
    """What a compiled function depends on: the nesting, the specs, and what is no array."""
    leaves, tree = flatten(tuple(args))
    specs = tuple(spec_of(leaf) for leaf in leaves)
    beside = tuple(
        (path, type(value), value if is_plain(value) else id(value))
        for path, value in settings(tree).items()
    )
    return tuple(tree.paths()), specs, beside


def _parameters(fn: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """The parameters as far as binding arguments goes: any default will do, and no annotation."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # a builtin: its arguments have places only
        return
    for p in parameters:
        yield p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else None)


def positional(
    signature: inspect.Signature, args: tuple[Any, ...], by_name: Mapping[str, Any]
) -> tuple[Any, ...]:
    """All arguments in order, some of which were given by name."""
    if not by_name:
        return args
    bound = signature.bind(*args, **by_name)
    if bound.kwargs:
        names = ", ".join(f"`{name}`" for name in bound.kwargs)
        raise fail(
            ArgumentError,
            "GC409",
            f"{names} cannot be given by name",
            helps=("give it in its place",),
        )
    return bound.args
