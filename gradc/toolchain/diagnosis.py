"""Why a compilation failed, and whose matter it is.

Enters: a compiler's run that ended badly. Leaves: the BuildError to raise. Always holds: gradc
takes the blame (GC810) only when the compiler works, the user's own flags are not the cause, and
the disk is not full.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import BuildError, fail
from .compilers import Compiler

LOG = "compiler.log"

# What gcc, clang and zig write before an error: file, line, column.
LOCATED_ERROR = re.compile(
    r"^([^\s:][^:\n]*):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$", re.MULTILINE
)

CRASH = ("internal compiler error", "PLEASE submit a bug report", "Killed signal")

# A program that every working compiler takes.
PROBE = "int gradc_probe(void);\nint gradc_probe(void) { return 0; }\n"


@dataclass(frozen=True)
class Run:
    """One command that was run to its end in a directory."""

    command: tuple[str, ...]
    returncode: int
    output: str


Runner = Callable[[Sequence[str]], Run]


def explain(
    failed: Run,
    *,
    run: Runner,
    compiler: Compiler,
    cflags: Sequence[str],
    directory: Path,
    kept: Path,
    name: str,
    line_info: Callable[[int], str | None] | None,
) -> BuildError:
    """The error for a run that failed in `directory`, whose files the user will find in `kept`.

    `run` runs a further command in `directory`; it is used to find out what is to blame.
    """
    if "No space left on device" in failed.output:
        return fail(
            BuildError,
            "GC805",
            f"cannot write to the cache directory `{kept.parent}`: no space left on device",
            helps=("set `GRADC_CACHE_DIR`, or `cache_dir`, to a directory with free space",),
        )
    if failed.returncode < 0 or any(sign in failed.output for sign in CRASH):
        return fail(
            BuildError,
            "GC811",
            f"{compiler} crashed while it compiled `{name}`",
            notes=(_first_line(failed), f"its whole output is in `{kept / LOG}`"),
            helps=("try another compiler with `compiler=`, or `$CC`",),
        )
    if cflags and run([word for word in failed.command if word not in cflags]).returncode == 0:
        return fail(
            BuildError,
            "GC812",
            f"{compiler} compiles `{name}`, but not with {_listed(cflags)} of `cflags`",
            notes=(_first_error(failed), f"its whole output is in `{kept / LOG}`"),
            helps=(f"leave {_listed(_to_blame(failed, run, cflags))} out of `cflags`",),
        )
    broken = _trial(run, compiler, cflags, directory)
    if broken is not None:
        return fail(
            BuildError,
            "GC813",
            f"the C compiler `{' '.join(compiler.command)}` cannot compile even an empty program",
            notes=(_first_line(broken), f"its whole output is in `{kept / LOG}`"),
            helps=("mend its installation, or try another with `compiler=`, or `$CC`",),
        )
    return fail(
        BuildError,
        "GC810",
        f"{compiler} refused the C generated for `{name}`: a bug in gradc, not in your code",
        notes=_located_errors(failed, directory, line_info) or (_first_line(failed),),
        helps=(
            f"please report it with the directory `{kept}`: the C and, in {LOG}, all messages",
            "another compiler may take it: `compiler=`, or `$CC`",
        ),
    )


def _to_blame(failed: Run, run: Runner, cflags: Sequence[str]) -> list[str]:
    """The flags without one of which it compiles; all of them if it takes more than one."""
    blamed = [
        flag for flag in cflags if run([w for w in failed.command if w != flag]).returncode == 0
    ]
    return blamed or list(cflags)


def _listed(flags: Sequence[str]) -> str:
    return ", ".join(f"`{flag}`" for flag in flags)


def _trial(run: Runner, compiler: Compiler, cflags: Sequence[str], directory: Path) -> Run | None:
    """The run of an empty program's compilation and link, if it failed."""
    (directory / "gradc_probe.c").write_text(PROBE, encoding="utf-8")
    command = (*compiler.command, *cflags, "-fPIC", "-shared", "gradc_probe.c", "-o", "gradc_probe")
    trial = run(command)
    for file in ("gradc_probe.c", "gradc_probe"):
        (directory / file).unlink(missing_ok=True)
    return trial if trial.returncode != 0 else None


def _located_errors(
    failed: Run, directory: Path, line_info: Callable[[int], str | None] | None
) -> tuple[str, ...]:
    """The first errors, each with the line of C and what of the user's program it came from."""
    found = LOCATED_ERROR.findall(failed.output)
    notes = []
    for file, number, message in found[:3]:
        note = f"{file}:{number}: {message}"
        try:
            lines = (directory / file).read_text(encoding="utf-8", errors="replace").splitlines()
            note += f", in `{lines[int(number) - 1].strip()}`"
        except (OSError, IndexError):
            pass  # a header of the system, or one that is gone
        if line_info is not None and file.endswith(".c") and not file.startswith("_gradc_"):
            origin = line_info(int(number))
            note += f" ({origin})" if origin else ""
        notes.append(note)
    if len(found) > len(notes):
        notes[-1:] = [f"and {len(found) - len(notes) + 1} errors more"]
    return tuple(notes)


def _first_error(failed: Run) -> str:
    found = re.search(r"^.*error: .*$", failed.output, re.MULTILINE)
    return found.group() if found else _first_line(failed)


def _first_line(failed: Run) -> str:
    said = failed.output.strip().splitlines()
    return said[0] if said else f"it ended with status {failed.returncode} and said nothing"
