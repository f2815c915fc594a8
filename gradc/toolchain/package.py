"""Generated files for use without Python.

Enters: texts, or bytes, by file name. Leaves: the files in a directory of the user's. Always
holds: a file is written whole or stays as it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import BuildError, fail


def export(directory: str | os.PathLike[str], files: Mapping[str, str | bytes]) -> list[Path]:
    """Write `files`, texts or bytes by name, into `directory`, made if missing; their paths.

    A file of the same name is replaced. Raises BuildError if the directory cannot be written.
    """
    root = Path(directory)
    paths = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path, draft = root / name, root / f".{name}.{os.getpid()}.draft"
            try:
                draft.write_bytes(content.encode() if isinstance(content, str) else content)
                os.replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
            paths.append(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise fail(
            BuildError,
            "GC809",
            f"cannot export to `{root}`: {reason}",
            helps=("name a directory that can be written and has free space",),
        ) from error
    return paths
