"""Which C compiler to use, with which flags, and what the machine code may contain.

Enters: the user's choice of compiler and target. Leaves: a `Compiler`, its command-line flags and
the vector instructions they allow. Always holds: a compiler is asked what it is only once; the
answer is remembered on disk under the path, size and time of its executable, so that finding a
known compiler starts no process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import BuildError, fail
from ..files import read_private, write_private
from ..forks import start_process
from ..lower.target import TARGETS
from .cache import default_root

Family = Literal["gcc", "clang", "zig"]

FAMILIES: dict[str, Family] = {"gcc": "gcc", "clang": "clang", "zig": "zig"}

MACHINES = ("native", "portable", *TARGETS)

HOW_TO_GET_ONE = (
    "install a C compiler: `pip install ziglang` works everywhere",
    "use the system's: `apt-get install gcc`, `dnf install gcc`, `xcode-select --install`",
)

# What zig calls an architecture, where that is not the name with other hyphens.
ZIG_MACHINES = {"armv8-a": "generic"}

# What making a program does where there is no compiler: "warn", "fail", or "go on" to the text.
WITHOUT_COMPILER: ContextVar[str] = ContextVar("gradc_without_compiler", default="warn")

# How much the file of remembered answers may hold: a few compilers times a few sets of flags.
REMEMBERED_ANSWERS = 64
REMEMBERED_BYTES = 1 << 20


@dataclass(frozen=True)
class Compiler:
    """A C compiler that has been run and has said what it is."""

    command: tuple[str, ...]
    family: Family
    version: str

    def __str__(self) -> str:
        return f"{self.family} {self.version}"


def find_compiler(option: str | None = None) -> Compiler:
    """The compiler to use: `option`, else `$CC`, else cc, gcc, clang or zig, the first that works.

    `option` and `$CC` are a command, such as "clang", "ccache gcc" or a path; "zig" means `zig cc`.
    Raises BuildError if the one asked for does not work, or none is found.
    """
    if option:
        return _asked_for(option, "given as `compiler`")
    if os.environ.get("CC", "").strip():
        return _asked_for(os.environ["CC"], "from `$CC`")
    found = _first_that_works()
    if found is None:
        raise fail(BuildError, "GC801", "no C compiler was found", helps=HOW_TO_GET_ONE)
    return found


def is_there_any() -> bool:
    """Whether `$CC` names a compiler (which need not work), or one is found."""
    return bool(os.environ.get("CC", "").strip()) or _first_that_works() is not None


def _first_that_works() -> Compiler | None:
    for candidate in (("cc",), ("gcc",), ("clang",), _zig_command()):
        command = _resolved(candidate)
        if command is None:
            continue
        try:
            return _identify(command)
        except _UnusableError:
            continue  # such as the cc of macOS before its developer tools are installed
    return None


def flags(compiler: Compiler, target: str = "native") -> tuple[str, ...]:
    """The flags that generated C is compiled with: for this machine ("native"), for any
    ("portable"), or for the least that has the instructions of one of `lower.target.TARGETS`.

    Contraction to fused multiply-add is allowed; nothing that changes NaN, infinity or order is.
    """
    if target not in MACHINES:
        known = ", ".join(f"`{name}`" for name in MACHINES)
        raise fail(BuildError, "GC802", f"`target` must be one of {known}, got `{target}`")
    chosen = ["-O3", *_machine_flags(compiler, target)]
    chosen += ["-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-std=c11"]
    if compiler.family == "gcc":
        # A condition that two selections of a loop share would become branches, and no vectors.
        chosen.append("-fno-thread-jumps")
    if compiler.family == "zig":
        chosen.append("-fno-sanitize=undefined")  # zig turns it on by default
    return tuple(chosen)


def _machine_flags(compiler: Compiler, target: str) -> tuple[str, ...]:
    if target in ("portable", "scalar"):
        # zig builds for the machine it runs on unless told.
        return ("-mcpu=baseline",) if compiler.family == "zig" else ()
    # Tiles are made for the widest registers; left to themselves, compilers for some processors
    # halve them. Without such registers the flag says nothing.
    widest = ("-mprefer-vector-width=512",)
    if target == "native":
        # On ARM `-march` is the architecture only; clang takes `native` under `-mcpu` alone.
        machine = platform.machine().lower()
        native = "-mcpu=native" if machine in ("aarch64", "arm64") else "-march=native"
        return (native, *widest) if machine in ("x86_64", "amd64") else (native,)
    least = TARGETS[target].architecture
    if compiler.family == "zig":
        return (f"-mcpu={ZIG_MACHINES.get(least, least.replace('-', '_'))}",)
    return (f"-march={least}", *(widest if target == "avx512" else ()))


def command_line(
    sources: Sequence[str],
    program: str,
    target: str,
    asked: str | None = None,
    cflags: Sequence[str] = (),
) -> str:
    """The command that makes a program of generated C for `target`: see `flags`.

    It has the compiler that was asked for, else a `cc` that is GCC or Clang, and the flags of
    `flags` but those of a shared library.
    """
    compiler = Compiler(("cc",), "gcc", "") if asked is None else find_compiler(asked)
    kept = [flag for flag in flags(compiler, target) if flag != "-fPIC"]
    called = [Path(compiler.command[0]).name, *compiler.command[1:]]
    return shlex.join([*called, *kept, *cflags, *sources, "-o", program, "-lm"])


def vector_isa(compiler: Compiler, target: str = "native", cflags: Sequence[str] = ()) -> str:
    """The widest vector instructions the compiler uses for `target`: what register tiles fit."""
    arguments = (*flags(compiler, target), *cflags)
    question = ["isa", *identity(compiler.command), *arguments]
    if target == "native":
        question.append(cpu_identity())

    def ask() -> dict[str, str]:
        try:
            macros = _predefined_macros((*compiler.command, *arguments))
        except _UnusableError as reason:
            raise _refused_flags(compiler, cflags, str(reason)) from None
        return {"isa": next(t.name for t in TARGETS.values() if all(m in macros for m in t.macros))}

    answer = _remembered(question, ask)["isa"]
    return answer if answer in TARGETS else "scalar"


def _refused_flags(compiler: Compiler, cflags: Sequence[str], said: str) -> BuildError:
    """The error of a compiler that does not even start with the user's flags."""
    refused = [flag for flag in cflags if not _takes(compiler, flag)] or list(cflags)
    listed = ", ".join(f"`{flag}`" for flag in refused)
    return fail(
        BuildError,
        "GC812",
        f"{compiler} refuses {listed}, which is of the `cflags` given"
        if refused
        else f"{compiler} does not work: {said}",
        notes=(f"it says: {said}",),
        helps=(f"leave {listed} out of `cflags`" if refused else "name another by `compiler`",),
    )


def _takes(compiler: Compiler, flag: str) -> bool:
    try:
        _predefined_macros((*compiler.command, flag))
    except _UnusableError:
        return False
    return True


def identity(command: Sequence[str]) -> list[str]:
    """The command, with path, size and time of every file it names: changes when one is updated."""
    parts = []
    for word in command:
        parts.append(word)
        if os.path.isabs(word) and os.path.isfile(word):
            real = os.path.realpath(word)
            status = os.stat(real)
            parts.append(f"{real}:{status.st_size}:{status.st_mtime_ns}")
    return parts


def cpu_identity() -> str:
    """What `native` means here: the processor's model and instruction sets, as one line of text."""
    steady = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features")
    described = []
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = (part.strip() for part in line.partition(":"))
                if not name:
                    break  # the first processor stands for all; reading on is slow on big machines
                if name in steady or name.startswith("CPU "):
                    described.append(value)
    except OSError:
        # macOS names the chip in the version of its kernel, Windows in the processor string.
        described = [platform.version(), platform.processor()]
    return " ".join((platform.machine(), *described))


class _UnusableError(Exception):
    """The command could not be run, or is no C compiler; the text says which."""


def _asked_for(text: str, origin: str) -> Compiler:
    """The compiler the user named, or an error that says where the name came from."""
    words = (text,) if os.path.isfile(text) else tuple(shlex.split(text))
    if words == ("zig",):
        words = _zig_command()
    elif len(words) == 1 and Path(words[0]).stem == "zig":
        words = (*words, "cc")
    command = _resolved(words)
    if command is None:
        raise fail(
            BuildError,
            "GC803",
            f"the C compiler `{text}` ({origin}) was not found",
            helps=("name a compiler that is installed, or leave it out to have one found",),
        )
    try:
        return _identify(command)
    except _UnusableError as reason:
        raise fail(
            BuildError,
            "GC803",
            f"the C compiler `{text}` ({origin}) does not work: {reason}",
            helps=("name a compiler that works, or leave it out to have one found",),
        ) from None


def _zig_command() -> tuple[str, ...]:
    """`zig cc`: a zig on the path, else the one that the ziglang package brings."""
    on_path = shutil.which("zig")
    if on_path is not None:
        return (on_path, "cc")
    package = importlib.util.find_spec("ziglang")
    if package is not None and package.origin is not None:
        # The executable itself: `python -m ziglang` would start a Python for every compilation.
        packaged = shutil.which("zig", path=os.path.dirname(package.origin))
        if packaged is not None:
            return (packaged, "cc")
    return ("zig", "cc")


def _resolved(command: tuple[str, ...]) -> tuple[str, ...] | None:
    """`command` with the full path of its executable (and of the compiler a `ccache` wraps)."""
    if not command or (first := shutil.which(command[0])) is None:
        return None
    rest = command[1:]
    if rest and not _is_zig(command) and (wrapped := shutil.which(rest[0])) is not None:
        rest = (os.path.abspath(wrapped), *rest[1:])
    return (os.path.abspath(first), *rest)


def _is_zig(command: tuple[str, ...]) -> bool:
    """Whether this is `zig cc`, which calls itself clang but has defaults of its own."""
    return Path(command[0]).stem == "zig" or "ziglang" in command


def _identify(command: tuple[str, ...]) -> Compiler:
    """Ask a command what compiler it is; raises _UnusableError."""

    def ask() -> dict[str, str]:
        macros = _predefined_macros(command)
        family, prefix = ("clang", "__clang_") if "__clang__" in macros else ("gcc", "__GNUC_")
        names = ("major__", "minor__", "patchlevel__")
        if family == "gcc":
            names = ("_", "MINOR__", "PATCHLEVEL__")
        if prefix + names[0] not in macros:
            raise _UnusableError("it is neither gcc nor clang")
        version = ".".join(macros.get(prefix + name, "0") for name in names)
        if _is_zig(command):
            family, version = "zig", _output((*command[:-1], "version")).strip()
        return {"family": family, "version": version}

    answer = _remembered(["compiler", *identity(command)], ask)
    return Compiler(command, FAMILIES[answer["family"]], answer["version"])


def _predefined_macros(command: Sequence[str]) -> dict[str, str]:
    """The macros a compiler defines by itself; raises _UnusableError."""
    text = _output((*command, "-dM", "-E", "-x", "c", os.devnull))
    return dict(re.findall(r"^#define (\w+) (.*)$", text, re.MULTILINE))


def _output(command: Sequence[str]) -> str:
    try:
        process = start_process(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise _UnusableError(error.strerror or str(error)) from None
    output, complaints = process.communicate()
    if process.returncode != 0:
        said = complaints.strip().splitlines() or [f"it ended with status {process.returncode}"]
        raise _UnusableError(said[0])
    return output


_answers: dict[str, dict[str, str]] = {}


def _remembered(question: Sequence[str], ask: Callable[[], dict[str, str]]) -> dict[str, str]:
    """`ask()`, or what it said to the same question before, in this process or an earlier one."""
    key = "\n".join(question)
    if key in _answers:
        return _answers[key]
    path = default_root() / "compilers.json"
    answer = _read_answers(path).get(key)
    if answer is None:
        answer = ask()
        known = [*_read_answers(path).items(), (key, answer)]
        _write_answers(path, dict(known[-REMEMBERED_ANSWERS:]))
    _answers[key] = answer
    return answer


def _read_answers(path: Path) -> dict[str, dict[str, str]]:
    """The remembered answers; none if the file is missing, damaged or another user's."""
    try:
        known = json.loads(read_private(path, limit=REMEMBERED_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    usable = isinstance(known, dict) and all(
        isinstance(answer, dict)
        and ("isa" in answer or (answer.get("family") in FAMILIES and "version" in answer))
        for answer in known.values()
    )
    return known if usable else {}


def _write_answers(path: Path, known: dict[str, dict[str, str]]) -> None:
    """Remember for later processes, if that is possible: not to remember only costs time."""
    with suppress(OSError):
        write_private(path, json.dumps(known, indent=1).encode())
