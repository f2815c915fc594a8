"""The build cache: one directory per program, named by everything that shaped it.

Enters: the parts that determine a build, and files made from them. Leaves: the path of a library
that is safe to load. Always holds: an entry appears under its name whole or not at all; only an
entry of this user, written by nobody else, whose library has the recorded hash, is ever returned;
a cache directory in which others could exchange files is not used at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import BuildError, fail
from ..files import OTHERS_MAY_WRITE, is_private, make_private_directory, read_private

# Raise this when the meaning of an entry's files changes: old entries are then rebuilt.
FORMAT = 1

MANIFEST = "manifest.json"
MANIFEST_BYTES = 1 << 16

ANOTHER = "set `GRADC_CACHE_DIR`, or `cache_dir`, to a directory that only you can write to"


def default_root() -> Path:
    """`$GRADC_CACHE_DIR`, else the user's cache directory as the platform has it."""
    chosen = os.environ.get("GRADC_CACHE_DIR", "")
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("gradc", appauthor=False)


def key_of(parts: Any) -> str:
    """The hash that names a build: equal only if all of `parts` (JSON values) are equal."""
    text = json.dumps([FORMAT, parts], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """The cache under one root directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, entry: str, key: str, library: str) -> Path | None:
        """The library of a whole, unaltered entry of ours; None if there is no such entry."""
        directory = self.root / entry
        try:
            if self._fault() is not None or not _is_private_directory(directory):
                return None
            manifest = json.loads(read_private(directory / MANIFEST, limit=MANIFEST_BYTES))
            digest = hashlib.sha256(read_private(directory / library)).hexdigest()
        except (OSError, ValueError, RecursionError):  # the last: lists in lists in lists
            return None
        expected = {"format": FORMAT, "key": key, "library": library, "sha256": digest}
        if not isinstance(manifest, dict) or any(
            manifest.get(name) != value for name, value in expected.items()
        ):
            return None
        return directory / library

    @contextmanager
    def building(self, entry: str) -> Iterator[Path]:
        """An empty directory to build `entry` in; no other process builds it at the same time.

        Turns a disk that is full or may not be written into a BuildError. The directory is removed
        at the end, unless `publish` or `keep_failed` moved it.
        """
        from filelock import FileLock

        partial = self.root / f"{entry}.partial"
        with self._disk_errors():
            make_private_directory(self.root)
            self.check()
            with FileLock(self._lock_file(entry), mode=0o600):
                _remove(partial)  # left by a process that was killed
                partial.mkdir(mode=0o700)
                try:
                    yield partial
                finally:
                    _remove(partial)

    def publish(self, partial: Path, key: str, library: str, about: dict[str, Any]) -> Path:
        """Make a built directory an entry, in one step; returns the library's new path."""
        built = partial / library
        manifest = {
            "format": FORMAT,
            "key": key,
            "library": library,
            "sha256": hashlib.sha256(built.read_bytes()).hexdigest(),
            **about,
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        os.chmod(partial / MANIFEST, 0o600)
        os.chmod(built, 0o700)
        entry = partial.with_name(partial.name.removesuffix(".partial"))
        _remove(entry)  # what `find` refused: corrupt, or not ours
        os.rename(partial, entry)
        return entry / library

    def keep_failed(self, partial: Path) -> Path:
        """Move a directory that could not be built to where the user can look at it."""
        failed = self.failed_path(partial)
        _remove(failed)
        os.rename(partial, failed)
        return failed

    def failed_path(self, partial: Path) -> Path:
        """Where `keep_failed` will put a directory."""
        return partial.with_name(partial.name.removesuffix(".partial") + ".failed")

    def check(self) -> None:
        """Raise BuildError if others could put files of theirs into the directory, which exists.

        It is not closed to them here: who knows what they have put there already.
        """
        fault = self._fault()
        if fault is not None:
            raise fail(BuildError, "GC804", fault[0], helps=fault[1:])

    def _fault(self) -> tuple[str, ...] | None:
        """Who could exchange an entry of ours for one of theirs, and what to do about it."""
        if not hasattr(os, "geteuid"):
            return None
        real = Path(os.path.realpath(self.root))
        status = os.stat(real)
        if status.st_uid not in (os.geteuid(), 0):
            return f"the cache directory `{self.root}` belongs to another user", ANOTHER
        if status.st_mode & OTHERS_MAY_WRITE:
            message = f"other users can write to the cache directory `{self.root}`"
            if status.st_mode & stat.S_ISVTX:  # /tmp and its like are meant to be open
                return message, ANOTHER
            return message, f"close it to them: `chmod go-w {shlex.quote(str(real))}`", ANOTHER
        for above in real.parents:
            mode = os.stat(above).st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                message = (
                    f"all users can write to `{above}`, above the cache directory `{self.root}`"
                )
                return message, ANOTHER
        return None

    def _lock_file(self, entry: str) -> Path:
        """The file to lock while `entry` is built: no link, pipe or directory."""
        locks = self.root / ".locks"
        with suppress(FileExistsError):
            locks.mkdir(mode=0o700)
        if not _is_private_directory(locks):
            _remove(locks)
            locks.mkdir(mode=0o700)
        file = locks / f"{entry}.lock"
        if os.path.lexists(file) and not stat.S_ISREG(os.lstat(file).st_mode):
            _remove(file)
        return file

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, NotImplementedError) as error:  # the latter: no locks on this file system
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise fail(
                BuildError,
                "GC805",
                f"cannot write to the cache directory `{self.root}`: {reason}",
                helps=("set `GRADC_CACHE_DIR`, or `cache_dir`, to a directory with free space",),
            ) from error


def _is_private_directory(path: Path) -> bool:
    """Whether there is a directory, and no link to one, that only this user can have filled."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and is_private(status)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        with suppress(PermissionError):
            os.chmod(path, 0o700)  # one that is closed to ourselves could not be emptied
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
