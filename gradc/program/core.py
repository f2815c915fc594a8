"""What functions, programs and training steps have in common: text, plans, and the build on demand.

Enters: jobs and leaves. Leaves: `Core`, which compiles them to text at once and to native code when
a call first needs it. Always holds: the text, the plans and the report need no C compiler.
"""

from __future__ import annotations

import copy
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import functions  # noqa: F401  (gives traced values the functions of NumPy)
from ..cnames import Names, identifier
from ..dtypes import Spec
from ..emit.example import example_main
from ..errors import ArgumentError, BuildError, fail
from ..forks import fork_safe_lock
from ..graph import Graph
from ..lower.reserved import ARGUMENTS, PROGRAMS
from ..lower.target import TARGETS
from ..pipeline import Compiled, Job, Leaf, compile_program
from ..plan.memory import MemoryPlan
from ..trace import Traced, user_span
from ..tree import Tree
from .describe import KernelInfo, Stage, kernel_infos, node_of_line, stages
from .native import NativeEntry, State

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo, NativeModule


INSTEAD_OF_TARGET: ContextVar[str] = ContextVar("gradc_instead_of_target", default="")
"""The target that the command line was given, whatever the program says."""


@dataclass(frozen=True)
class Options:
    """How to compile: see `gradc.compile`."""

    name: str = "program"
    target: str = "native"
    compiler: str | None = None
    cflags: tuple[str, ...] = ()
    cache_dir: str | Path | None = None

    def __post_init__(self) -> None:
        known = ("native", "portable", *TARGETS)
        if self.target not in known:
            message = f"unknown target {self.target!r}"
            raise fail(
                ArgumentError, "GC430", message, helps=(f"choose one of {', '.join(known)}",)
            )

    @property
    def vectors(self) -> str:
        """The instruction set to write tiles for. Without a compiler, the portable one."""
        if self.target in TARGETS:
            return self.target
        if self.target == "portable":
            return "scalar"
        return native_isa(self.compiler, self.cflags)


def make_options(
    name: str,
    target: str,
    compiler: str | None,
    cflags: Sequence[str],
    cache_dir: str | Path | None,
) -> Options:
    """The options, checked before anything is traced.

    Without any C compiler there is a warning: the text can still be had.
    """
    if isinstance(cflags, str) or not all(isinstance(flag, str) for flag in cflags):
        words = cflags.split() if isinstance(cflags, str) else list(map(str, cflags))
        message = f"`cflags` is a list of strings, got {cflags!r}"
        raise fail(ArgumentError, "GC431", message, helps=(f"write `cflags={words!r}`",))
    target = INSTEAD_OF_TARGET.get() or target
    options = Options(name, target, compiler, tuple(cflags), cache_dir)
    if target not in TARGETS:
        _ask_for_compiler(options)
    return options


def _ask_for_compiler(options: Options) -> None:
    """Raise `BuildError` if the compiler asked for does not work or does not take the flags."""
    from ..toolchain.compilers import (
        HOW_TO_GET_ONE,
        WITHOUT_COMPILER,
        find_compiler,
        is_there_any,
        vector_isa,
    )

    if options.compiler or is_there_any() or WITHOUT_COMPILER.get() == "fail":
        found = find_compiler(options.compiler)
        if options.cflags:
            vector_isa(found, "native", options.cflags)
        return
    if WITHOUT_COMPILER.get() == "go on":
        return
    span = user_span()
    text = f"no C compiler was found, so nothing compiled can be called: {HOW_TO_GET_ONE[0]}"
    where = (span.file, span.line) if span is not None else (__file__, 0)
    warnings.warn_explicit(text, UserWarning, *where)


def native_isa(compiler: str | None, cflags: tuple[str, ...]) -> str:
    """The vector unit of this machine, as the compiler that will build knows it."""
    from ..toolchain.compilers import find_compiler, vector_isa

    try:
        return vector_isa(find_compiler(compiler), "native", cflags)
    except BuildError:
        if compiler is not None:
            raise
        return "scalar"  # the text can still be had; the build will say what is missing


LONGEST_NAME = 60
"""Of a program: file systems, and the tables of linkers, have their limits."""
BESIDE = ("_example", "_parameters")
"""What the files that are exported beside a program are called by, after its name."""


def program_name(text: str) -> str:
    """The name that a user gave a program, if C can use it; else `ArgumentError`."""
    if not isinstance(text, str):
        message = f"`name` is a string, got {text!r}"
        raise fail(ArgumentError, "GC432", message, helps=('write `name="..."`',))
    plain = text.isascii() and text.isidentifier() and text[0] != "_"
    if plain and len(text) <= LONGEST_NAME and _is_free(text):
        return text
    message = f"`{text}` cannot name a program: it names files, types and functions in C"
    rule = f"letters, digits and underscores, a letter first, at most {LONGEST_NAME}"
    if plain and text.endswith(BESIDE):
        message = f"`{text}` cannot name a program: files beside another are called so"
        rule = f"no name that ends in {' or '.join(f'`{end}`' for end in BESIDE)}"
    elif plain and not _is_free(text):
        message = f"`{text}` cannot name a program: it means something in C"
        rule = "no word, function or header of C"
    suggestion = derived_name(text)
    raise fail(ArgumentError, "GC435", message, helps=(f'use {rule}: `name="{suggestion}"`',))


def derived_name(text: str) -> str:
    """What C calls a program that is named after a Python function: as near to it as can be."""
    name = identifier(text)[:LONGEST_NAME].rstrip("_")
    return name if _is_free(name) else f"{name}_program"


def _is_free(name: str) -> bool:
    return name not in PROGRAMS and not name.startswith("gradc_") and not name.endswith(BESIDE)


def runtime_header(name: str) -> str:
    """The text of one of the C headers that generated code includes."""
    return resources.files("gradc.runtime").joinpath(name).read_text(encoding="utf-8")


def output_names(results: Tree, labels: Sequence[str | None], names: Names) -> tuple[str, ...]:
    """C names for outputs: the user's key, else what a result calls itself, else its place.

    So `{"accuracy": a}` is `accuracy`, the results of `value_and_grad` are `value` and `d_x`, and
    what is left is `out` or `out_0`.
    """
    chosen = []
    for path, label in zip(results.paths(), labels, strict=True):
        by_place = not path or path[:1].isdigit()
        chosen.append(path if not by_place else label or (f"out_{path}" if path else "out"))
    return tuple(names.fresh(identifier(name)) for name in chosen)


def input_paths(traced: Traced) -> list[str]:
    """The path of each input; a tied one goes by its first."""
    paths = [""] * len(traced.graph.inputs)
    for path, position in zip(traced.paths, traced.leaf_inputs, strict=True):
        paths[position] = paths[position] or path
    return paths


def argument_names(paths: Sequence[str]) -> tuple[tuple[str, ...], Names]:
    """Distinct C names for the arguments, and what is left for the outputs."""
    names = Names(ARGUMENTS)
    return tuple(names.fresh(identifier(p)) for p in paths), names


@dataclass
class Core:
    """One compiled program and its native form."""

    compiled: Compiled
    options: Options
    state_names: tuple[str, ...]
    state: State | None
    stages: list[Stage]
    lock: threading.Lock = field(default_factory=fork_safe_lock)
    _module: NativeModule | None = None
    _entries: dict[str, NativeEntry] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        """The definition, with its C, and the state: the process that loads it builds its own."""
        kept = ("compiled", "options", "state_names", "state", "stages")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__init__(**kept)  # type: ignore[misc]

    def __deepcopy__(self, memo: dict[int, Any]) -> Core:
        """The same program, and the same native code, over a state of its own."""
        state = copy.deepcopy(self.state, memo)
        return Core(
            self.compiled, self.options, self.state_names, state, list(self.stages),
            _module=self._module,
        )  # fmt: skip

    @property
    def source(self) -> str:
        return self.compiled.emitted.source

    @property
    def header(self) -> str:
        return self.compiled.emitted.header

    @property
    def kernels(self) -> list[KernelInfo]:
        return kernel_infos(self.compiled)

    @property
    def plans(self) -> dict[str, MemoryPlan]:
        return {j.name: j.plan.memory for j in self.compiled.jobs if j.plan is not None}

    def graph(self, entry: str) -> Graph:
        return next(j.graph for j in self.compiled.jobs if j.name == entry)

    @property
    def runtime(self) -> dict[str, str]:
        """The runtime headers the source includes, by file name."""
        return {name: runtime_header(name) for name in self.compiled.emitted.runtime}

    def build(self) -> BuildInfo:
        """Compile to native code, or find it in the cache; the first call does it by itself."""
        return self.module.info

    @property
    def module(self) -> NativeModule:
        with self.lock:
            if self._module is None:
                self._module = self._build()
            return self._module

    def _build(self) -> NativeModule:
        from ..toolchain.build import build

        emitted, options = self.compiled.emitted, self.options
        # Instructions asked for by name may be another machine's: slow here, but right.
        forced = ("-DGRADC_ANY_MACHINE",) if options.target in TARGETS else ()
        module = build(
            emitted.source, emitted.header, emitted.cdef, self.compiled.name,
            compiler=options.compiler, cflags=(*options.cflags, *forced), target=self._machine,
            cache_dir=options.cache_dir, runtime_headers=self.runtime,
            line_info=lambda line: node_of_line(self.compiled, line),
        )  # fmt: skip
        info = module.info
        how = "cached" if info.cached else f"{info.compiler} {' '.join(info.flags[:2])}"
        self.stages.append(Stage("Compiled", f"{self.compiled.name}.so", how, info.seconds))
        return module

    def entry(self, name: str) -> NativeEntry:
        """The native form of one entry point."""
        if name not in self._entries:
            entry = next(e for e in self.compiled.entries if e.name == name)
            interface = self.compiled.interface
            self._entries[name] = NativeEntry(entry, interface, self.module, self.state)
        return self._entries[name]

    @property
    def _machine(self) -> str:
        """What the flags are for: "portable", or the machine that runs this."""
        return "portable" if self.options.vectors == "scalar" else "native"

    def files(self) -> dict[str, str]:
        """Everything a C program needs: the source, the header, the runtime headers, an example."""
        name = self.compiled.name
        files = {f"{name}.c": self.source, f"{name}.h": self.header, **self.runtime}
        from ..toolchain.compilers import command_line

        sources = (f"{name}.c", f"{name}_example.c")
        options = self.options
        command = command_line(
            sources, f"{name}_example", options.target, options.compiler, options.cflags
        )
        files[sources[1]] = example_main(self.compiled.interface, command)
        return files

    def export(
        self, directory: str | Path, data: Mapping[str, str | bytes] | None = None
    ) -> list[Path]:
        """Write the C files, and `data`, to a directory (made if missing); returns their paths."""
        from ..toolchain.package import export

        return [Path(p) for p in export(directory, {**self.files(), **(data or {})})]


def make_core(
    options: Options,
    leaves: Sequence[Leaf],
    jobs: Sequence[Job],
    *,
    traced_seconds: float,
    names: Sequence[str] = (),
    share: Core | None = None,
) -> Core:
    """Compile jobs to text. `share`: keep the state, and so the layout, of another program."""
    start = time.perf_counter()
    fixed = None
    if share is not None:
        fixed = frozenset(k for k, m in enumerate(share.compiled.members) if m.swapped)
    compiled = compile_program(options.name, leaves, jobs, layouts=fixed, vectors=options.vectors)
    seconds = time.perf_counter() - start
    shapes = [leaf.value.shape for leaf in leaves if leaf.name.startswith("params.")]
    if share is not None:
        state = share.state
    else:
        layout = compiled.interface.layout
        state = None if layout is None else State(layout, names)
    spent = sum(sum(j.seconds.values()) for j in jobs)
    listed = stages(compiled, traced_seconds, seconds - spent, shapes)
    return Core(compiled, options, tuple(names), state, listed)


def batch_of(specs: Sequence[Spec]) -> int | None:
    """The leading extent that all specs share: the number of rows of a batch."""
    rows = {s.shape[0] if s.shape else None for s in specs}
    return rows.pop() if len(rows) == 1 and specs else None


def target_of(options: Options) -> Any:
    return TARGETS[options.vectors]
