"""What functions, programs and training steps have in common: text, plans, and the build on demand.

Enters: jobs and leaves. Leaves: `Core`, which compiles them to text at once and to native code when
a call first needs it. Always holds: the text, the plans and the report need no C compiler.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import functions  # noqa: F401  (gives traced values the functions of NumPy)
from ..emit.example import example_main
from ..errors import ArgumentError, fail
from ..forks import fork_safe_lock
from ..graph import Graph
from ..inspect.describe import Stage, node_of_line, stages
from ..lower.reserved import GLOBAL
from ..lower.target import TARGETS
from ..native.entry import NativeEntry
from ..native.state import State
from ..pipeline import Compiled, compile_program
from ..stages import Job, Leaf
from .entries import EntryDef, EntryTrace, StateLeaves, make_job
from .options import Options

if TYPE_CHECKING:
    from ..toolchain.build import BuildInfo, NativeModule


def runtime_header(name: str) -> str:
    """The text of one of the C headers that generated code includes."""
    return resources.files("gradc.runtime").joinpath(name).read_text(encoding="utf-8")


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
        files = {
            f"{name}.c": self.source,
            f"{name}.h": self.compiled.emitted.header,
            **self.runtime,
        }
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
    parameters: Sequence[int] = (),
    share: Core | None = None,
) -> Core:
    """Compile jobs to text.

    `names` are those of the leaves in the state, `parameters` says which of them are a model's.
    `share`: keep the state, and so the layout, of another program.
    """
    start = time.perf_counter()
    fixed = None
    if share is not None:
        fixed = frozenset(k for k, m in enumerate(share.compiled.members) if m.swapped)
    compiled = compile_program(options.name, leaves, jobs, layouts=fixed, vectors=options.vectors)
    seconds = time.perf_counter() - start
    shapes = [leaves[k].value.shape for k in parameters]
    if share is not None:
        state = share.state
    else:
        layout = compiled.interface.layout
        state = None if layout is None else State(layout, names)
    spent = sum(compiled.seconds.values())
    listed = stages(compiled, traced_seconds, seconds - spent, shapes)
    return Core(compiled, options, tuple(names), state, listed)


def build_core(
    entries: Mapping[str, EntryDef],
    known: StateLeaves,
    options: Options,
    share: Core | None = None,
) -> tuple[Core, dict[str, EntryTrace]]:
    """Trace every entry point and compile them together."""
    start = time.perf_counter()
    jobs: list[Job] = []
    traces: dict[str, EntryTrace] = {}
    for label, entry in entries.items():
        job, traces[label] = make_job(label, entry, known, options)
        jobs.append(job)
    _check_functions(options.name, jobs)
    seconds = time.perf_counter() - start
    core = make_core(
        options, known.leaves, jobs, traced_seconds=seconds,
        names=[leaf.name for leaf in known.leaves], parameters=known.parameters, share=share,
    )  # fmt: skip
    return core, traces


def _check_functions(name: str, jobs: Sequence[Job]) -> None:
    """All functions of the C file need names of their own."""
    known = {
        f"{name}_state": "the state",
        f"{name}_params": "the parameters",
        f"{name}_arena": "the scratch memory",
        f"{name}_init": "the function that initialises the state",
        f"{name}_load": "the function that loads parameters",
        f"{name}_parameters": "the exported parameters",
        f"{name.upper()}_OK": "a status",
    }
    named = [(f"{name}_{job.name}", f"`{job.name}`") for job in jobs]
    for job in jobs:
        if job.batch is not None and job.replaced:
            many = f"{name}_{job.name}s"
            named.append((many, f"many steps of `{job.name}`"))
            named.append((f"{many}_arena", f"the scratch memory of `{many}`"))
    for function, what in named:
        if function in known or function in GLOBAL:
            other = known.get(function, "something else")
            message = f"{what} would be `{function}` in C, which is {other}"
            raise fail(ArgumentError, "GC512", message, helps=("rename the entry point",))
        known[function] = what
