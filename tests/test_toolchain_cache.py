"""The build cache: what is found again, what is rebuilt, and what is never loaded."""

from __future__ import annotations

import errno
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import caching
import pytest
from caching import POSIX, PROGRAM, RUNTIME, build_answer, finish, replace, start

from gradc.errors import BuildError
from gradc.toolchain.build import build
from gradc.toolchain.cache import MANIFEST, default_root
from gradc.toolchain.compilers import find_compiler

entry = caching.entry  # a fixture


def test_the_second_build_starts_no_process_and_imports_little(tmp_path: Path) -> None:
    answer, cached, processes, _ = finish(start(tmp_path))
    assert (answer, cached) == (42, False)
    assert processes >= 3
    assert finish(start(tmp_path)) == [42, True, 0, []]


def test_one_program_is_loaded_once(tmp_path: Path) -> None:
    first, second = build_answer(tmp_path), build_answer(tmp_path)
    assert not first.info.cached
    assert second.info.cached
    assert first.lib is second.lib
    assert first.ffi is second.ffi
    assert first.info.path == second.info.path


@pytest.mark.parametrize(
    "change",
    [
        {"source": PROGRAM["source"] + "\n"},
        {"header": PROGRAM["header"] + "\n"},
        {"cdef": PROGRAM["cdef"] + "\n"},
        {"name": "answer2", "header": PROGRAM["header"]},
        {"runtime_headers": {"offset.h": "\n"}},
        {"runtime_headers": {"other.h": ""}},
        {"cflags": ("-DOFFSET=0", "-DOTHER")},
        {"target": "portable"},
    ],
    ids=lambda change: "-".join(change),
)
def test_whatever_is_different_is_built_apart(change: dict[str, Any], tmp_path: Path) -> None:
    if change.get("name") == "answer2":
        change["source"] = PROGRAM["source"].replace("answer.h", "answer2.h")
    first, second = build_answer(tmp_path), build_answer(tmp_path, **change)
    assert not second.info.cached
    assert first.info.directory != second.info.directory
    assert (first.lib.answer(), second.lib.answer()) == (42, 42)


@POSIX
def test_an_updated_compiler_builds_anew(tmp_path: Path) -> None:
    script, real = tmp_path / "cc", shlex.join(find_compiler().command)
    script.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    script.chmod(0o700)
    assert not build_answer(tmp_path / "cache", compiler=str(script)).info.cached
    assert build_answer(tmp_path / "cache", compiler=str(script)).info.cached
    os.utime(script, (1, 1))
    assert not build_answer(tmp_path / "cache", compiler=str(script)).info.cached


@POSIX
def test_many_processes_build_one_program_once(tmp_path: Path) -> None:
    log, script, real = tmp_path / "log", tmp_path / "cc", shlex.join(find_compiler().command)
    # Slow enough that all processes want to build before the first is done.
    script.write_text(f'#!/bin/sh\necho "$*" >> {log}\nsleep 0.3\nexec {real} "$@"\n')
    script.chmod(0o700)
    find_compiler(str(script))
    log.unlink()
    started = [start(tmp_path / "cache", compiler=str(script)) for _ in range(8)]
    results = [finish(process) for process in started]
    assert [result[0] for result in results] == [42] * 8
    assert sorted(result[1] for result in results) == [False, *[True] * 7]
    assert log.read_text().count("-c answer.c") == 1


def test_different_programs_build_at_the_same_time(tmp_path: Path) -> None:
    started = [start(tmp_path, offset) for offset in range(3)]
    assert [finish(process)[:2] for process in started] == [
        [42, False],
        [43, False],
        [44, False],
    ]


def flip_a_byte(entry: Path) -> None:
    (library,) = entry.glob("*.so")
    content = bytearray(library.read_bytes())
    content[len(content) // 2] ^= 0xFF
    replace(library, bytes(content))


def truncate_the_library(entry: Path) -> None:
    (library,) = entry.glob("*.so")
    replace(library, library.read_bytes()[:100])


def remove_the_library(entry: Path) -> None:
    (library,) = entry.glob("*.so")
    library.unlink()


def truncate_the_manifest(entry: Path) -> None:
    replace(entry / MANIFEST, (entry / MANIFEST).read_bytes()[:40])


def replace_the_manifest(entry: Path) -> None:
    replace(entry / MANIFEST, b"[1, 2, 3]")


def remove_the_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()


def put_another_program_there(entry: Path) -> None:
    """Another program's whole entry under this one's name: consistent in itself."""
    assert finish(start(entry.parent, 1))[0] == 43
    (other,) = set(entry.parent.glob("answer-*")) - {entry}
    (library,) = entry.glob("*.so")
    (foreign,) = other.glob("*.so")
    replace(library, foreign.read_bytes())
    manifest = json.loads((other / MANIFEST).read_text())
    replace(entry / MANIFEST, json.dumps({**manifest, "library": library.name}).encode())


def open_the_directory_to_others(entry: Path) -> None:
    entry.chmod(0o777)


def open_the_library_to_others(entry: Path) -> None:
    (library,) = entry.glob("*.so")
    library.chmod(0o772)


def open_the_manifest_to_the_group(entry: Path) -> None:
    (entry / MANIFEST).chmod(0o660)


def put_a_link_there(entry: Path) -> None:
    moved = entry.parent.parent / "elsewhere"
    entry.rename(moved)
    entry.symlink_to(moved)


def put_a_file_there(entry: Path) -> None:
    entry.rename(entry.parent.parent / "elsewhere")
    entry.write_text("not a directory")


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        truncate_the_library,
        remove_the_library,
        truncate_the_manifest,
        replace_the_manifest,
        remove_the_manifest,
        put_another_program_there,
        pytest.param(open_the_directory_to_others, marks=POSIX),
        pytest.param(open_the_library_to_others, marks=POSIX),
        pytest.param(open_the_manifest_to_the_group, marks=POSIX),
        pytest.param(put_a_link_there, marks=POSIX),
        put_a_file_there,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_or_foreign_entry_is_rebuilt(damage: Callable[[Path], None], entry: Path) -> None:
    damage(entry)
    module = build_answer(entry.parent)
    assert not module.info.cached
    assert module.lib.answer() == 42
    assert module.info.directory == entry
    assert build_answer(entry.parent).info.cached


@pytest.mark.parametrize(
    "folder", ["with spaces in it", "für Ünïcode 木", "two\nlines", "-o", "quote'and\"$HOME"]
)
def test_any_directory_name_will_do(folder: str, tmp_path: Path) -> None:
    module = build_answer(tmp_path / folder)
    assert module.lib.answer() == 42
    assert module.info.path.is_relative_to(tmp_path / folder)
    assert build_answer(tmp_path / folder).info.cached


def test_the_cache_directory_is_chosen_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path / "environment"))
    chosen = build(**PROGRAM, runtime_headers=RUNTIME, cflags=("-DOFFSET=0",))
    assert chosen.info.directory.parent == tmp_path / "environment"
    assert build_answer(tmp_path / "option").info.directory.parent == tmp_path / "option"
    monkeypatch.delenv("GRADC_CACHE_DIR")
    assert default_root().name.lower() in ("gradc", "cache")
    assert default_root().is_absolute()


def test_a_relative_directory_is_that_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = build_answer(Path("here"))
    assert module.info.directory.parent == tmp_path / "here"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="cannot write to the cache directory") as error:
        build_answer(tmp_path / "file" / "cache")
    assert "GRADC_CACHE_DIR" in error.value.diagnostic.helps[0]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_cache_still_serves_what_it_has(tmp_path: Path) -> None:
    assert build_answer(tmp_path).lib.answer() == 42
    tmp_path.chmod(0o500)
    assert build_answer(tmp_path).info.cached
    with pytest.raises(BuildError, match="cannot write to the cache directory"):
        build_answer(tmp_path, offset=1)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        with pytest.raises(BuildError) as error:
            build_answer(tmp_path)
    assert os.strerror(number).lower() in error.value.diagnostic.message
    assert not list(tmp_path.glob("answer-*")), "nothing half-written stays"
    assert build_answer(tmp_path).lib.answer() == 42


def test_a_killed_build_leaves_nothing_that_is_used(tmp_path: Path) -> None:
    info = build_answer(tmp_path).info
    partial = info.directory.with_name(f"{info.directory.name}.partial")
    info.directory.rename(partial)  # as if the process had died before the last step
    (partial / "leftover").touch()
    again = build_answer(tmp_path).info
    assert not again.cached
    assert not partial.exists()
    assert not (again.directory / "leftover").exists()
