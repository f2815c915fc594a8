"""Finding a compiler, compiling small hand-written programs, and explaining what goes wrong."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradc as gd
from gradc.errors import BuildError
from gradc.toolchain.build import NativeModule, build
from gradc.toolchain.compilers import Compiler, find_compiler, flags, vector_isa
from gradc.toolchain.package import export

HEADER = """\
#include <stddef.h>
#include "factor.h"
float total(const float *a, size_t n);
int wait_for(const volatile int *flag);
"""
CDEF = """
float total(const float *a, size_t n);
int wait_for(const volatile int *flag);
"""
SOURCE = """\
#include "adder.h"

float total(const float *a, size_t n) {
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        sum += FACTOR * a[i];
    }
    return sum;
}

int wait_for(const volatile int *flag) {
    for (unsigned long long turn = 0; turn < 40000000000ull; turn++) {
        if (*flag) {
            return 1;
        }
    }
    return 0;
}
"""
RUNTIME = {"factor.h": "#define FACTOR 2.0f\n"}

X86 = platform.machine().lower() in ("x86_64", "amd64")
HAS_ZIG = shutil.which("zig") is not None or importlib.util.find_spec("ziglang") is not None
POSIX = pytest.mark.skipif(os.name == "nt", reason="the stand-in compilers are shell scripts")


def build_adder(cache_dir: Path, source: str = SOURCE, **options: Any) -> NativeModule:
    options = {"runtime_headers": RUNTIME, **options}
    return build(source, HEADER, CDEF, "adder", cache_dir=cache_dir, **options)


def total(module: NativeModule) -> float:
    return float(module.lib.total(module.ffi.new("float[3]", [1.0, 2.0, 3.0]), 3))


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str], Path]:
    """`stand_in(script)`: a command that runs shell code, in which `real` is a true compiler."""

    def make(script: str) -> Path:
        path = tmp_path / "stand-in-cc"
        real = shlex.join(find_compiler().command)
        path.write_text(f'#!/bin/sh\nreal() {{ exec {real} "$@"; }}\n{script}\n')
        path.chmod(0o700)
        return path

    return make


def message(error: pytest.ExceptionInfo[BuildError]) -> str:
    return error.value.diagnostic.render()


# Finding a compiler.


@pytest.mark.parametrize("family", ["gcc", "clang"])
def test_a_compiler_is_found_by_name_and_builds(family: str, tmp_path: Path) -> None:
    if shutil.which(family) is None:
        pytest.skip(f"{family} is not installed")
    module = build_adder(tmp_path, compiler=family)
    assert total(module) == 12.0
    assert Path(module.info.compiler.command[0]).is_absolute()
    assert module.info.compiler.version.count(".") == 2
    # On macOS gcc is another name of clang.
    assert module.info.compiler.family == family or sys.platform == "darwin"


@pytest.mark.skipif(not HAS_ZIG, reason="zig is not installed (pip install ziglang)")
@pytest.mark.parametrize("target", ["native", "portable"])
def test_zig_builds(target: str, tmp_path: Path) -> None:
    module = build_adder(tmp_path, compiler="zig", target=target)
    assert total(module) == 12.0
    assert module.info.compiler.family == "zig"
    assert "-fno-sanitize=undefined" in module.info.flags


@pytest.mark.skipif(not HAS_ZIG, reason="zig is not installed (pip install ziglang)")
def test_zig_compiles_no_library_of_its_own_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That took half a minute; functions of the C library are found in the process instead."""
    zigs = tmp_path / "zigs"
    for place in ("GLOBAL", "LOCAL"):
        monkeypatch.setenv(f"ZIG_{place}_CACHE_DIR", str(zigs))
    function = gd.compile(
        lambda x: np.expm1(x) + x**1.5 + np.hypot(x, 1.0),
        gd.f64[3],
        compiler="zig",
        cache_dir=tmp_path / "cache",
    )
    x = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(function(x), np.expm1(x) + x**1.5 + np.hypot(x, 1.0), rtol=1e-12)
    assert zigs.is_dir()
    assert sys.platform == "darwin" or [*zigs.rglob("*.a")] == []


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs ziglang")
def test_zig_is_recognised_behind_python() -> None:
    found = find_compiler(f"'{sys.executable}' -m ziglang cc")
    assert found.family == "zig"
    assert found.version == find_compiler("zig").version


@POSIX
def test_the_environment_names_the_compiler(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = stand_in('real "$@"')
    monkeypatch.setenv("CC", str(script))
    assert find_compiler().command == (str(script),)
    assert build_adder(tmp_path).info.compiler.command == (str(script),)
    other = tmp_path / "other-cc"
    other.symlink_to(script)
    assert find_compiler(str(other)).command == (str(other),), "an option comes before $CC"
    monkeypatch.setenv("CC", " ")
    assert find_compiler().command != (str(script),)


@POSIX
def test_a_launcher_before_the_compiler(stand_in: Callable[[str], Path]) -> None:
    real = find_compiler()
    launcher = stand_in('exec "$@"')
    found = find_compiler(f"{launcher} {shlex.join(real.command)}")
    assert found.command == (str(launcher), *real.command)


@POSIX
def test_a_path_with_spaces_is_one_command(stand_in: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "my tools"
    folder.mkdir()
    stand_in('real "$@"').rename(folder / "cc")
    assert find_compiler(str(folder / "cc")).command == (str(folder / "cc"),)


def test_without_any_compiler_the_error_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BuildError) as error:
        find_compiler()
    for way in ("pip install ziglang", "apt-get install gcc", "xcode-select --install"):
        assert way in message(error)


@pytest.mark.parametrize("origin", ["option", "environment"])
def test_a_compiler_that_is_not_there(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(BuildError, match=r"`no-such-cc`.*was not found") as error:
        find_compiler("no-such-cc" if origin == "option" else None)
    assert ("`$CC`" in message(error)) == (origin == "environment")


@POSIX
@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo no licence >&2; exit 3", "no licence"), ("exit 4", "status 4"), ("echo", "neither")],
)
def test_a_command_that_is_no_compiler(
    script: str, reason: str, stand_in: Callable[[str], Path]
) -> None:
    with pytest.raises(BuildError, match="does not work") as error:
        find_compiler(str(stand_in(script)))
    assert reason in message(error)


@POSIX
def test_a_broken_cc_on_the_path_is_passed_over(
    stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    stand_in('real "$@"').rename(folder / "clang")
    stand_in("exit 1").rename(folder / "cc")
    monkeypatch.setenv("PATH", str(folder))
    assert find_compiler().command == (str(folder / "clang"),)


@POSIX
def test_a_compiler_is_asked_once_until_it_changes(
    stand_in: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path / "cache"))
    log = tmp_path / "asked"
    script = stand_in(f'echo asked >> {log}; real "$@"')
    ask = (
        "import sys; from gradc.toolchain.compilers import find_compiler, vector_isa\n"
        "found = find_compiler(sys.argv[1]); print(found.version, vector_isa(found))"
    )

    def run() -> str:
        command = [sys.executable, "-c", ask, str(script)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    first = run()
    asked = log.read_text().count("asked")
    assert asked == 2, "once for the version, once for the vector instructions"
    assert run() == first
    assert log.read_text().count("asked") == asked
    os.utime(script, (1, 1))  # as an update of the compiler would
    assert run() == first
    assert log.read_text().count("asked") == 2 * asked


@pytest.mark.parametrize("content", ["{", "[1]", '{"compiler": 3}', '{"a": {"family": "tcc"}}'])
def test_damaged_memory_is_asked_again(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = find_compiler()
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("gradc.toolchain.compilers._answers", {})
    (tmp_path / "compilers.json").write_text(content)
    assert find_compiler() == expected
    assert '"version"' in (tmp_path / "compilers.json").read_text()


# Flags.


def test_flags_keep_nan_and_infinity() -> None:
    for family in ("gcc", "clang", "zig"):
        compiler = Compiler(("cc",), family, "1.0.0")  # type: ignore[arg-type]
        for target in ("native", "portable"):
            chosen = flags(compiler, target)
            assert not {"-ffast-math", "-Ofast", "-ffinite-math-only"} & set(chosen)
            assert {"-O3", "-std=c11", "-fPIC", "-ffp-contract=fast"} <= set(chosen)
            assert any("native" in flag for flag in chosen) == (target == "native")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(BuildError, match="`target` must be one of `native`, `portable`"):
        flags(find_compiler(), "toaster")


@pytest.mark.skipif(not X86, reason="names x86 instructions")
def test_vector_instructions_follow_the_flags() -> None:
    compilers = [find_compiler()] + ([find_compiler("zig")] if HAS_ZIG else [])
    for compiler in compilers:
        assert vector_isa(compiler, "portable") == "sse"
        assert vector_isa(compiler, "native") in ("sse", "avx2", "avx512")
    assert vector_isa(compilers[0], "portable", ("-mavx2", "-mfma")) == "avx2"
    assert vector_isa(compilers[0], "portable", ("-mavx512f",)) == "avx512"


# Calling what was built.


def test_the_sources_stay_readable(tmp_path: Path) -> None:
    info = build_adder(tmp_path).info
    assert (info.directory / "adder.c").read_text() == SOURCE
    assert (info.directory / "adder.h").read_text() == HEADER
    assert (info.directory / "factor.h").read_text() == RUNTIME["factor.h"]
    assert info.directory.parent == tmp_path
    assert not list(info.directory.glob("*.o"))


def test_a_call_lets_other_threads_run(tmp_path: Path) -> None:
    module = build_adder(tmp_path)
    flag = module.ffi.new("int *", 0)
    saw: list[int] = []
    waiting = threading.Thread(target=lambda: saw.append(module.lib.wait_for(flag)))
    waiting.start()
    flag[0] = 1  # never reached in time if the call kept the interpreter lock
    waiting.join()
    assert saw == [1]


def test_two_programs_of_one_name_live_side_by_side(tmp_path: Path) -> None:
    one = build_adder(tmp_path)
    other = build_adder(tmp_path, SOURCE.replace("FACTOR *", "100.0f *"))
    assert (total(one), total(other)) == (12.0, 600.0)


def test_flags_of_the_user_reach_the_compiler(tmp_path: Path) -> None:
    source = SOURCE.replace("FACTOR *", "SCALE *")
    strict = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
    assert total(build_adder(tmp_path, source, cflags=("-DSCALE=10.0f", *strict))) == 60.0


def test_a_name_that_is_no_identifier_is_refused(tmp_path: Path) -> None:
    for name in ("../evil", "ä", "two words", ""):
        with pytest.raises(BuildError, match="is not a C identifier"):
            build(SOURCE, HEADER, CDEF, name, cache_dir=tmp_path, runtime_headers=RUNTIME)
    assert list(tmp_path.iterdir()) == []


# When the compiler refuses.


def test_refused_c_is_shown_with_its_origin(tmp_path: Path) -> None:
    broken = SOURCE.replace("FACTOR * a[i]", "nonsense * a[i]")
    line = broken[: broken.index("nonsense")].count("\n") + 1
    origins = {line: "#12 relu, model.py:9"}
    with pytest.raises(BuildError, match="a bug in gradc, not in your code") as error:
        build_adder(tmp_path, broken, line_info=origins.get)
    assert error.value.diagnostic.code == "GC810"
    note = error.value.diagnostic.notes[0]
    assert note.startswith(f"adder.c:{line}: ")
    assert "`sum += nonsense * a[i];` (#12 relu, model.py:9)" in note
    (kept,) = tmp_path.glob("*.failed")
    assert str(kept) in message(error)
    assert (kept / "adder.c").read_text() == broken
    assert "nonsense" in (kept / "compiler.log").read_text()
    assert not list(tmp_path.glob("*.partial"))


def test_of_many_errors_the_first_are_shown(tmp_path: Path) -> None:
    broken = SOURCE + "".join(f"\nbogus{i} value{i};" for i in range(6))
    with pytest.raises(BuildError) as error:
        build_adder(tmp_path, broken)
    notes = error.value.diagnostic.notes
    assert len(notes) == 3
    assert "`bogus0 value0;`" in notes[0]
    assert notes[2] == "and 4 errors more"


def test_a_program_can_be_mended_after_a_failure(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(BuildError):
            build_adder(tmp_path, "not C at all")
    assert total(build_adder(tmp_path)) == 12.0


def test_wrong_declarations_are_a_bug_of_gradc(tmp_path: Path) -> None:
    for cdef in ("this is no C", "float missing(int);", "float total(double *a, size_t n);"):
        with pytest.raises(BuildError, match="a bug in gradc"):
            build(SOURCE, HEADER, cdef, "adder", cache_dir=tmp_path, runtime_headers=RUNTIME)


def test_flags_the_compiler_refuses_are_the_users_matter(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as error:
        build_adder(tmp_path, cflags=("-fno-such-flag",))
    assert error.value.diagnostic.code == "GC812"
    assert "-fno-such-flag" in message(error)
    assert "bug in gradc" not in message(error)


@POSIX
@pytest.mark.parametrize(
    ("script", "code", "text"),
    [
        ("kill -SEGV $$", "GC811", "crashed"),
        ("echo 'cc: internal compiler error: in here' >&2; exit 4", "GC811", "crashed"),
        ("echo 'cc: licence expired' >&2; exit 1", "GC813", "licence expired"),
        ("echo 'error: No space left on device' >&2; exit 1", "GC805", "no space left"),
    ],
)
def test_a_compiler_that_fails_for_reasons_of_its_own(
    script: str, code: str, text: str, tmp_path: Path, stand_in: Callable[[str], Path]
) -> None:
    compiler = stand_in(f'case "$*" in *-dM*) real "$@";; esac\n{script}')
    with pytest.raises(BuildError) as error:
        build_adder(tmp_path / "cache", compiler=str(compiler))
    assert error.value.diagnostic.code == code
    assert text in message(error)
    assert "bug in gradc" not in message(error)


def test_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    source = "float elsewhere(void);\n" + SOURCE.replace("FACTOR *", "elsewhere() *")
    with pytest.raises(BuildError, match=r"`adder` cannot be loaded: .*elsewhere"):
        build_adder(tmp_path, source)


def test_missing_python_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    with pytest.raises(BuildError, match=r"Python\.h") as error:
        build_adder(tmp_path / "cache")
    assert "apt-get install python3-dev" in message(error)


# Export.


def test_export_writes_files_and_replaces_older_ones(tmp_path: Path) -> None:
    directory = tmp_path / "a b" / "out"
    export(directory, {"adder.c": "old", "other.h": "kept"})
    paths = export(directory, {"adder.c": SOURCE, "adder.h": HEADER})
    assert paths == [directory / "adder.c", directory / "adder.h"]
    assert {path.name: path.read_text() for path in directory.iterdir()} == {
        "adder.c": SOURCE,
        "adder.h": HEADER,
        "other.h": "kept",
    }


def test_export_where_a_directory_has_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "adder.c").mkdir()
    with pytest.raises(BuildError, match="cannot export to"):
        export(tmp_path, {"adder.c": SOURCE})
    assert [p.name for p in tmp_path.iterdir()] == ["adder.c"]


@pytest.mark.skipif(os.name != "posix", reason="other systems allow fewer names")
@pytest.mark.parametrize("name", ["two\nlines", "für 木", "-o", "' \""])
def test_export_to_a_directory_of_any_name(name: str, tmp_path: Path) -> None:
    (path,) = export(tmp_path / name, {"adder.c": SOURCE})
    assert path.read_text() == SOURCE


def test_export_to_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="cannot export to"):
        export(tmp_path / "file" / "out", {"adder.c": SOURCE})
