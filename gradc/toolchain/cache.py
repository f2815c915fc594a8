"""The build cache: one directory per program, named by everything that shaped it.

Enters: the parts that determine a build, and files made from them. Leaves: the path of a library
that is safe to load. Always holds: an entry appears under its name whole or not at all; only an
entry of this user, written by nobody else, whose library has the recorded hash, is ever returned.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import BuildError, fail

# Raise this when the meaning of an entry's files changes: old entries are then rebuilt.
FORMAT = 1

MANIFEST = "manifest.json"


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


def is_private(path: Path) -> bool:
    """Whether `path` is a file or directory of this user (or root's) that no one else may write."""
    if not hasattr(os, "geteuid"):
        return True  # Windows: the user's cache directory is private by its access list
    status = os.lstat(path)
    return (
        status.st_uid in (os.geteuid(), 0)
        and not stat.S_ISLNK(status.st_mode)
        and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


class Cache:
    """The cache under one root directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, entry: str, key: str, library: str) -> Path | None:
        """The library of a whole, unaltered entry of ours; None if there is no such entry."""
        directory = self.root / entry
        try:
            kept = (directory, directory / MANIFEST, directory / library)
            if not self._root_is_safe() or not all(is_private(path) for path in kept):
                return None
            manifest = json.loads((directory / MANIFEST).read_bytes())
            digest = hashlib.sha256((directory / library).read_bytes()).hexdigest()
        except (OSError, ValueError):
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
            self._prepare_root()
            locks = self.root / ".locks"
            locks.mkdir(mode=0o700, exist_ok=True)
            with FileLock(locks / f"{entry}.lock", mode=0o600):
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

    def _prepare_root(self) -> None:
        """Make the root directory, and take from others the right to write into it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._root_is_safe():
            return
        status = os.stat(self.root)
        if status.st_uid != os.geteuid():
            raise fail(
                BuildError,
                "GC804",
                f"the cache directory `{self.root}` belongs to another user",
                helps=("set `GRADC_CACHE_DIR`, or `cache_dir`, to a directory of your own",),
            )
        os.chmod(self.root, stat.S_IMODE(status.st_mode) & ~(stat.S_IWGRP | stat.S_IWOTH))

    def _root_is_safe(self) -> bool:
        """Whether nobody else can put an entry of theirs in the place of one of ours."""
        if not hasattr(os, "geteuid"):
            return True
        status = os.stat(self.root)
        sticky = bool(status.st_mode & stat.S_ISVTX)  # as /tmp: others cannot rename our files
        closed = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return status.st_uid in (os.geteuid(), 0) and (closed or sticky)

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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
