"""`gradc doctor`: is everything here that gradc needs, and how is it mended if not?

Enters: this machine. Leaves: a list of findings, each with what to do. Always holds: every finding
is looked at even if one before it failed; status 1 if one that is needed is missing.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..errors import GradcError
from .console import Console, duration

MINIMUM_PYTHON = (3, 11)
PACKAGES = ("numpy", "cffi", "networkx", "safetensors", "tqdm", "platformdirs", "filelock")
MATRIX = 256
REPETITIONS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    value: str
    help: str = ""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """The command."""
    findings = list(look())
    ok = all(f.ok for f in findings)
    lines = []
    for finding in findings:
        lines.append(f"{'ok' if finding.ok else 'MISSING':<8} {finding.name:<12} {finding.value}")
        if finding.help:
            lines.append(f"{'':<21} {finding.help}")
    console.data("\n".join(lines), {"ok": ok, "findings": [vars(f) for f in findings]})
    return 0 if ok else 1


def look() -> Iterator[Finding]:
    """Look at one thing after the other."""
    yield python()
    yield from packages()
    for name, examine in (
        ("compiler", compiler),
        ("flags", compiler_flags),
        ("cache", cache),
        ("program", program),
        ("speed", speed),
    ):
        yield guarded(name, examine)


def guarded(name: str, examine: Callable[[], Finding]) -> Finding:
    """What `examine` finds; an error of its own is a finding too."""
    try:
        return examine()
    except GradcError as error:
        help_text = "; ".join(error.diagnostic.helps)
        return Finding(name, False, error.diagnostic.message, help_text)
    except (OSError, ImportError) as error:
        return Finding(name, False, str(error))


def python() -> Finding:
    """The interpreter."""
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    value = f"{platform.python_version()} ({sys.executable}), {platform.platform()}"
    fits = sys.version_info >= MINIMUM_PYTHON
    return Finding("python", fits, value, "" if fits else f"gradc needs Python {wanted} or later")


def packages() -> Iterator[Finding]:
    """The packages gradc needs when it runs."""
    for name in PACKAGES:
        try:
            yield Finding(name, True, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed", f"install it: `pip install {name}`")


def compiler() -> Finding:
    """The C compiler that builds use."""
    from ..toolchain.compilers import find_compiler

    found = find_compiler()
    return Finding("compiler", True, f"{found} ({' '.join(found.command)})")


def compiler_flags() -> Finding:
    """How it is called, and for which vector unit."""
    from ..toolchain.compilers import find_compiler, flags, vector_isa

    found = find_compiler()
    return Finding("flags", True, f"{' '.join(flags(found))} ({vector_isa(found)})")


def cache() -> Finding:
    """Whether builds can be kept."""
    from ..toolchain.cache import Cache, default_root

    root = default_root()
    mend = "set `GRADC_CACHE_DIR` to a folder of your own with free space"
    nearest = next(p for p in (root, *root.parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return Finding("cache", False, f"{root}: {(error.strerror or str(error)).lower()}", mend)
    if root.exists():
        Cache(root).check()
    return Finding("cache", True, f"{root}, {len(entries(root))} programs, writable")


def entries(root: Path) -> list[Path]:
    """The programs in the cache."""
    return [p for p in root.iterdir() if p.is_dir()] if root.is_dir() else []


def program() -> Finding:
    """Whether a small program builds, runs and is right."""
    import numpy as np

    from ..dtypes import f32
    from ..program import compile as compile_function

    function = compile_function(lambda x: x * 2 + 1, f32[4], name="doctor")
    info = function.build()
    result = np.asarray(function(np.arange(4, dtype=np.float32)))
    how = "from the cache" if info.cached else f"built in {duration(info.seconds)}"
    if result.tolist() != [1.0, 3.0, 5.0, 7.0]:
        return Finding("program", False, f"2 x + 1 gave {result.tolist()}", "try another compiler")
    return Finding("program", True, f"a small program runs and is right ({how})")


def speed() -> Finding:
    """What a matrix product reaches on one core."""
    import numpy as np

    from ..dtypes import f32
    from ..program import compile as compile_function

    shape = (MATRIX, MATRIX)
    product = compile_function(lambda a, b: a @ b, f32[shape], f32[shape], name="doctor_matmul")
    a, b = np.ones(shape, np.float32), np.ones(shape, np.float32)
    product(a, b)
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        product(a, b)
        times.append(time.perf_counter() - start)
    rate = 2 * MATRIX**3 / min(times) / 1e9
    return Finding("speed", True, f"{rate:.0f} GFLOP/s on one core ({MATRIX} x {MATRIX} matrices)")
