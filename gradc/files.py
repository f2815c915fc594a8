"""Files that may not be what their names say, and files that only this user can have written.

Enters: a path. Leaves: the bytes of a regular file. Always holds: nothing that may never end (a
pipe, a device) is waited for; whose a file is, and who may write to it, is asked of what was
opened, so that nobody can exchange it in between; what is written here is written through no link.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

PathLike = str | os.PathLike[str]

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_regular(path: PathLike, *, limit: int | None = None) -> bytes:
    """The bytes of the file at `path`; raises OSError if it is none, or larger than `limit`."""
    return _read(path, 0, False, limit)


def read_private(path: PathLike, *, limit: int | None = None) -> bytes:
    """The same for a file that only this user (or root) can have written, and no link to one."""
    return _read(path, getattr(os, "O_NOFOLLOW", 0), True, limit)


def _read(path: PathLike, flags: int, private: bool, limit: int | None) -> bytes:
    # Opening a pipe that nobody writes to would block.
    flags |= os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if private and not is_private(status):
            raise PermissionError(errno.EACCES, "others can write to it")
        if limit is not None and status.st_size > limit:
            raise OSError(errno.EFBIG, f"it is larger than {limit} bytes")
    except OSError:
        os.close(descriptor)
        raise
    with open(descriptor, "rb") as file:
        return file.read()


def is_private(status: os.stat_result) -> bool:
    """Whether a file or directory is this user's (or root's), and no one else may write to it."""
    if not hasattr(os, "geteuid"):
        return True  # Windows: the user's cache directory is private by its access list
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & OTHERS_MAY_WRITE


def write_private(path: Path, content: bytes) -> None:
    """Replace the file at `path` by one that only this user may read and write; it appears whole.

    Directories that are missing are made, for this user alone.
    """
    make_private_directory(path.parent)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # left by a process that was killed
    try:
        with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(content)
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def make_private_directory(path: Path) -> None:
    """Make a directory, with those above it that are missing, for this user alone."""
    if not path.is_dir():
        make_private_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
