"""The build cache: whose files are loaded, what is never opened, which directories are refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import caching
import pytest
from caching import POSIX, build_answer, finish, replace, start

from gradc.errors import BuildError
from gradc.files import is_private
from gradc.toolchain.cache import MANIFEST, Cache
from gradc.toolchain.compilers import find_compiler

entry = caching.entry  # a fixture


@POSIX
def test_what_is_made_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        info = build_answer(tmp_path / "cache").info
    finally:
        os.umask(before)
    for path in (tmp_path / "cache", info.directory, info.path, info.directory / MANIFEST):
        assert path.stat().st_mode & 0o077 == 0


@POSIX
def test_an_entry_of_another_user_is_not_loaded(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = json.loads((entry / MANIFEST).read_text())
    cache, key, library = Cache(entry.parent), manifest["key"], manifest["library"]
    assert cache.find(entry.name, key, library) == entry / library
    for path in (entry, entry / MANIFEST, entry / library):
        if os.geteuid() == 0:
            os.chown(path, 12345, -1)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert not is_private(path.lstat())
        assert cache.find(entry.name, key, library) is None
        if os.geteuid() == 0:
            os.chown(path, 0, -1)


@POSIX
def test_a_root_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(BuildError, match="belongs to another user") as error:
        build_answer(tmp_path)
    assert "GRADC_CACHE_DIR" in error.value.diagnostic.helps[0]


# What is never opened ---------------------------------------------------------------------------


def library(entry: Path) -> Path:
    return next(entry.glob("*.so"))


def a_pipe_as_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()
    os.mkfifo(entry / MANIFEST, 0o600)


def a_pipe_as_library(entry: Path) -> None:
    path = library(entry)
    path.unlink()
    os.mkfifo(path, 0o700)


def a_device_as_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()
    (entry / MANIFEST).symlink_to("/dev/zero")


def a_link_as_library(entry: Path) -> None:
    path = library(entry)
    path.rename(entry.parent.parent / "elsewhere.so")
    path.symlink_to(entry.parent.parent / "elsewhere.so")


def a_loop_as_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()
    (entry / MANIFEST).symlink_to(entry / MANIFEST)


def a_directory_as_library(entry: Path) -> None:
    path = library(entry)
    path.unlink()
    path.mkdir(0o700)


def an_endless_manifest(entry: Path) -> None:
    text = (entry / MANIFEST).read_text()
    replace(entry / MANIFEST, text.encode() + b" " * (1 << 16))


def a_deep_manifest(entry: Path) -> None:
    replace(entry / MANIFEST, b"[" * 60_000)


def a_manifest_of_numbers(entry: Path) -> None:
    manifest = json.loads((entry / MANIFEST).read_text())
    replace(entry / MANIFEST, json.dumps({**manifest, "sha256": 12}).encode())


def unreadable_files(entry: Path) -> None:
    (entry / MANIFEST).chmod(0)
    entry.chmod(0)


def a_pipe_as_lock(entry: Path) -> None:
    library(entry).unlink()
    lock = entry.parent / ".locks" / f"{entry.name}.lock"
    lock.unlink()
    os.mkfifo(lock)


def a_link_as_lock(entry: Path) -> None:
    library(entry).unlink()
    lock = entry.parent / ".locks" / f"{entry.name}.lock"
    lock.unlink()
    lock.symlink_to(entry.parent.parent / "victim")


def a_link_as_directory_of_locks(entry: Path) -> None:
    library(entry).unlink()
    locks = entry.parent / ".locks"
    locks.rename(entry.parent.parent / "locks")
    locks.symlink_to(entry.parent.parent / "locks")


def a_link_as_draft(entry: Path) -> None:
    library(entry).unlink()
    (entry.parent / f"{entry.name}.partial").symlink_to(entry.parent.parent)


@POSIX
@pytest.mark.parametrize(
    "damage",
    [
        a_pipe_as_manifest,
        a_pipe_as_library,
        a_device_as_manifest,
        a_link_as_library,
        a_loop_as_manifest,
        a_directory_as_library,
        an_endless_manifest,
        a_deep_manifest,
        a_manifest_of_numbers,
        pytest.param(
            unreadable_files,
            marks=pytest.mark.skipif(
                os.name == "nt" or os.geteuid() == 0, reason="root reads what nobody may read"
            ),
        ),
        a_pipe_as_lock,
        a_link_as_lock,
        a_link_as_directory_of_locks,
        a_link_as_draft,
    ],
    ids=lambda damage: damage.__name__,
)
def test_what_is_no_plain_file_of_ours_is_built_anew(
    damage: Callable[[Path], None], entry: Path
) -> None:
    damage(entry)
    before = sorted(p.name for p in entry.parent.parent.iterdir())
    assert finish(start(entry.parent), seconds=60)[:2] == [42, False]
    assert finish(start(entry.parent), seconds=60)[:2] == [42, True]
    assert sorted(p.name for p in entry.parent.parent.iterdir()) == before, "nothing elsewhere"


@POSIX
@pytest.mark.parametrize("kind", ["pipe", "device", "deep", "large"])
def test_remembered_answers_are_read_with_the_same_care(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("gradc.toolchain.compilers._answers", {})
    path = tmp_path / "compilers.json"
    if kind == "pipe":
        os.mkfifo(path, 0o600)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"[" * 100_000 if kind == "deep" else b" " * (1 << 21))
        path.chmod(0o600)
    assert find_compiler().version
    assert path.is_file()
    assert not path.is_symlink()
    assert json.loads(path.read_text())


# Directories that are refused -------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702], ids=oct)
def test_a_directory_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    root = tmp_path / "cache"
    assert build_answer(root).lib.answer() == 42
    root.chmod(mode)
    before = sorted(root.iterdir())
    for offset in (0, 1):  # what is there is not loaded, and nothing is built
        with pytest.raises(BuildError, match="other users can write to the cache") as error:
            build_answer(root, offset=offset)
    helps = error.value.diagnostic.helps
    assert "GRADC_CACHE_DIR" in helps[-1]
    assert (helps[0] == f"close it to them: `chmod go-w {root}`") == (not mode & 0o1000)
    assert root.stat().st_mode & 0o7777 == mode, "it is not closed behind the user's back"
    assert sorted(root.iterdir()) == before
    root.chmod(0o700)
    assert build_answer(root).info.cached


@POSIX
def test_a_directory_below_one_that_is_open_to_all(tmp_path: Path) -> None:
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(BuildError, match="all users can write to") as error:
        build_answer(above / "deep" / "cache")
    assert f"`{above}`" in error.value.diagnostic.message
    assert "GRADC_CACHE_DIR" in error.value.diagnostic.helps[0]
    above.chmod(0o1777)  # as /tmp: others cannot rename what is ours
    assert build_answer(above / "deep" / "cache").lib.answer() == 42


@POSIX
def test_a_link_to_a_directory_is_as_safe_as_that(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert build_answer(tmp_path / "link").lib.answer() == 42
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(BuildError, match="other users can write"):
        build_answer(tmp_path / "link")


@POSIX
@pytest.mark.parametrize("kind", ["loop", "below a loop", "pipe", "file"])
def test_what_is_no_directory_is_said(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "cache"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to(path)
    with pytest.raises(BuildError, match="cannot write to the cache directory"):
        build_answer(path / "below" if kind == "below a loop" else path)
