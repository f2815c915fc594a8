"""Generated C becomes a module that Python can call.

Enters: one C source, its header and cffi declarations. Leaves: a `NativeModule`, whose `lib` holds
the C functions (each call releases the interpreter lock) and whose files stay readable in the
build cache. Always holds: equal input is compiled once per machine and loaded once per process.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BuildError, fail
from ..forks import fork_safe_lock, start_process
from .cache import Cache, default_root, key_of
from .compilers import Compiler, cpu_identity, find_compiler, flags, identity
from .diagnosis import LOG, Run, explain

# The cffi wrapper only converts arguments: it is compiled quickly rather than well. Whatever flags
# the user adds, its warnings are no errors, but those of declarations that differ from the header.
WRAPPER_FLAGS = (
    "-O1", "-g0", "-fPIC", "-DNDEBUG", "-fvisibility=hidden", "-Wno-error",
    "-Werror=implicit-function-declaration", "-Werror=int-conversion",
    "-Werror=incompatible-pointer-types",
)  # fmt: skip

# Hidden symbols let two programs of one name live in one process.
SOURCE_FLAGS = ("-fvisibility=hidden",)

# What else decides which headers and libraries a compiler finds.
COMPILER_ENVIRONMENT = (
    "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "SDKROOT",
    "MACOSX_DEPLOYMENT_TARGET",
)  # fmt: skip


@dataclass(frozen=True)
class BuildInfo:
    """How a module came to be: its library, and what the build (or the cache) took in seconds."""

    path: Path
    compiler: Compiler
    flags: tuple[str, ...]
    seconds: float
    cached: bool

    @property
    def directory(self) -> Path:
        """Where the generated C, its header and the library lie."""
        return self.path.parent


@dataclass(frozen=True)
class NativeModule:
    """A loaded program: cffi's `ffi` and `lib`, and how it was built."""

    ffi: Any
    lib: Any
    info: BuildInfo


@dataclass(frozen=True)
class _Job:
    """One build: all that enters it, and the names that follow from that."""

    name: str
    cdef: str
    files: Mapping[str, str]
    compiler: Compiler
    cflags: tuple[str, ...]
    flags: tuple[str, ...]
    key: str

    @property
    def entry(self) -> str:
        return f"{self.name}-{self.key[:16]}"

    @property
    def module(self) -> str:
        return f"_gradc_{self.name}_{self.key[:12]}"

    @property
    def library(self) -> str:
        return f"{self.module}.so"


def build(
    source: str,
    header: str,
    cdef: str,
    name: str,
    *,
    compiler: str | None = None,
    cflags: Sequence[str] = (),
    target: str = "native",
    cache_dir: str | os.PathLike[str] | None = None,
    runtime_headers: Mapping[str, str],
    line_info: Callable[[int], str | None] | None = None,
) -> NativeModule:
    """Compile and load `source` (as `<name>.c`) and `header` (as `<name>.h`).

    `cdef` declares to cffi what Python may use of the header; `runtime_headers` are further files
    the source includes, by name; `cflags` are appended to gradc's own flags. `line_info` says for a
    line of the source which node and Python line it came from, for messages. Raises BuildError.
    """
    if not (name.isascii() and name.isidentifier()):
        raise fail(BuildError, "GC806", f"`{name}` is not a C identifier")
    began = time.perf_counter()
    files = {**runtime_headers, f"{name}.h": header, f"{name}.c": source}
    job = _job(name, cdef, files, find_compiler(compiler), tuple(cflags), target)
    cache = Cache(default_root() if cache_dir is None else Path(cache_dir).expanduser().absolute())

    path, cached = _cached_or_compiled(job, cache, line_info)
    try:
        module = _load(job, path)
    except ImportError as error:
        raise fail(
            BuildError,
            "GC807",
            f"the library of `{name}` cannot be loaded: {error}",
            helps=(f"remove `{path.parent}` to have it built anew", "try another compiler"),
        ) from error
    seconds = time.perf_counter() - began
    info = BuildInfo(path, job.compiler, (*job.flags, *job.cflags), seconds, cached)
    return NativeModule(module.ffi, module.lib, info)


def _cached_or_compiled(
    job: _Job, cache: Cache, line_info: Callable[[int], str | None] | None
) -> tuple[Path, bool]:
    """The library of the job, and whether it was there already."""
    path = cache.find(job.entry, job.key, job.library)
    if path is not None:
        return path, True
    with cache.building(job.entry) as directory:
        # Another process may have built it while this one waited for its turn.
        path = cache.find(job.entry, job.key, job.library)
        if path is not None:
            return path, True
        _compile(job, cache, directory, line_info)
        about = {"name": job.name, "compiler": str(job.compiler), "flags": job.flags}
        return cache.publish(directory, job.key, job.library, about), False


def _job(
    name: str,
    cdef: str,
    files: Mapping[str, str],
    compiler: Compiler,
    cflags: tuple[str, ...],
    target: str,
) -> _Job:
    """Name the build by all that can make a difference to the library."""
    import _cffi_backend

    chosen = (*flags(compiler, target), *SOURCE_FLAGS)
    parts = {
        "name": name,
        "cdef": cdef,
        "files": dict(files),
        "compiler": [*identity(compiler.command), compiler.family, compiler.version],
        "flags": [chosen, cflags, WRAPPER_FLAGS],
        "environment": {key: os.environ.get(key) for key in COMPILER_ENVIRONMENT},
        "cpu": cpu_identity() if target == "native" else "",
        "python": [importlib.machinery.EXTENSION_SUFFIXES[0], sys.version_info[:2]],
        "cffi": _cffi_backend.__version__,
        "libc": _libc_version(),
    }
    return _Job(name, cdef, files, compiler, cflags, chosen, key_of(parts))


def _libc_version() -> str | None:
    """A library linked against a newer C library cannot be loaded with an older one."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return None  # not a GNU system


def _compile(
    job: _Job, cache: Cache, directory: Path, line_info: Callable[[int], str | None] | None
) -> None:
    """Fill `directory` with the sources and the library; if that fails they are kept to look at."""
    compile_source, compile_wrapper, link = _commands(job)
    for file, text in job.files.items():
        (directory / file).write_text(text, encoding="utf-8", newline="\n")
    started = [_start(compile_source, directory)]
    try:
        _write_wrapper(job, directory)  # while the compiler is already at work
        started.append(_start(compile_wrapper, directory))
        runs = [_finish(process) for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.communicate()
    if all(run.returncode == 0 for run in runs):
        runs.append(_finish(_start(link, directory)))
    failed = next((run for run in runs if run.returncode != 0), None)
    if failed is None:
        for leftover in ("source.o", "wrapper.o"):
            (directory / leftover).unlink()
        return
    log = "".join(f"$ {' '.join(run.command)}\n{run.output}\n" for run in runs)
    (directory / LOG).write_text(log, encoding="utf-8")
    error = explain(
        failed,
        run=lambda command: _finish(_start(command, directory)),
        compiler=job.compiler,
        cflags=job.cflags,
        directory=directory,
        kept=cache.failed_path(directory),
        name=job.name,
        line_info=line_info,
    )
    cache.keep_failed(directory)
    raise error


def _commands(job: _Job) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The command lines for the source, the wrapper and the link, from the build directory."""
    own = (*job.compiler.command, *job.flags, *job.cflags)
    quick = (*job.compiler.command, *job.cflags, *WRAPPER_FLAGS)
    python = f"-I{_python_include()}"
    return (
        (*own, "-c", f"{job.name}.c", "-o", "source.o"),
        (*quick, python, "-c", f"{job.module}.c", "-o", "wrapper.o"),
        (*own, *_link_flags(job.compiler), "source.o", "wrapper.o", "-o", job.library),
    )


def _link_flags(compiler: Compiler) -> tuple[str, ...]:
    """How a library is linked whose open ends the process that loads it holds: Python's own, and
    with zig those of the C library too.

    To link with libraries, zig first compiles them, for half a minute for each set of flags.
    """
    if sys.platform == "darwin":
        return ("-bundle", "-undefined", "dynamic_lookup", "-lm")
    return ("-shared", "-nostdlib") if compiler.family == "zig" else ("-shared", "-lm")


def _write_wrapper(job: _Job, directory: Path) -> None:
    """Write the C that makes the header's functions callable from Python, by cffi."""
    import cffi

    ffi = cffi.FFI()
    try:
        ffi.cdef(job.cdef)
    except (cffi.CDefError, cffi.FFIError) as error:
        raise fail(
            BuildError,
            "GC810",
            f"cffi refused the declarations generated for `{job.name}`: a bug in gradc, "
            "not in your code",
            notes=(str(error).splitlines()[0],),
        ) from error
    ffi.set_source(job.module, f'#include "{job.name}.h"', compiler_verbose=0)
    ffi.emit_c_code(str(directory / f"{job.module}.c"))


def _python_include() -> str:
    """The directory of Python.h, which a distribution may package apart from Python."""
    import sysconfig

    include = sysconfig.get_path("include")
    if not os.path.isfile(os.path.join(include, "Python.h")):
        raise fail(
            BuildError,
            "GC808",
            f"the headers of Python are missing: no `Python.h` in `{include}`",
            helps=("install them: `apt-get install python3-dev`, `dnf install python3-devel`",),
        )
    return include


def _start(command: Sequence[str], directory: Path) -> subprocess.Popen[str]:
    try:
        return start_process(
            command,
            cwd=directory,
            env={**os.environ, "LC_ALL": "C"},  # messages in the language we search them in
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise fail(
            BuildError,
            "GC803",
            f"the C compiler `{command[0]}` cannot be run: {reason}",
            helps=("name another with `compiler=`, or `$CC`",),
        ) from error


def _finish(process: subprocess.Popen[str]) -> Run:
    output, _ = process.communicate()
    return Run(tuple(process.args), process.returncode, output)  # type: ignore[arg-type]


_modules: dict[tuple[str, str], Any] = {}
_loading = fork_safe_lock()


def _load(job: _Job, path: Path) -> Any:
    """Import the library, or return the module this process has loaded from it already."""
    with _loading:
        known = _modules.get((job.key, str(path)))
        if known is not None:
            return known
        loader = importlib.machinery.ExtensionFileLoader(job.module, str(path))
        spec = importlib.util.spec_from_file_location(job.module, path, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
        _modules[job.key, str(path)] = module
        return module
