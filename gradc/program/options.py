"""How to compile: the options that every function of the interface takes, checked.

Enters: names of targets, compilers, flags. Leaves: `Options`. Always holds: what is asked for is
known to be there before anything is traced; without any C compiler the text can still be had.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from ..errors import ArgumentError, BuildError, fail
from ..lower.target import TARGETS, Target
from ..trace import user_span

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


def target_of(options: Options) -> Target:
    return TARGETS[options.vectors]
