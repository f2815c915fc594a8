"""Checkpoints: named arrays in one safetensors file.

Enters: arrays and text metadata, or a file. Leaves: the file, or the arrays. Always holds: a file
appears whole or not at all, and until then the one before it stays; equal content is equal bytes;
whatever is wrong with a file is a `CheckpointError`, never an error of the library that read it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Spec
from ..errors import CheckpointError, fail

Array = np.ndarray[Any, Any]
PathLike = str | os.PathLike[str]

MISMATCHES_SHOWN = 3


def save(
    path: PathLike, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors` and `metadata` to `path`, in place of what is there.

    Raises CheckpointError if that is impossible (no space, no permission); what was there stays.
    """
    from safetensors.numpy import save as encode

    # The library writes the memory as it lies; `asarray` keeps 0-d arrays what they are.
    dense = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    with writing(path):
        write_atomically(Path(path), _sorted_metadata(encode(dense, dict(metadata or {}))))


@contextmanager
def writing(path: PathLike) -> Iterator[None]:
    """Turn what the file system says into a CheckpointError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise fail(
            CheckpointError,
            "GC601",
            f"cannot write `{os.fspath(path)}`: {reason}",
            notes=("the checkpoint before it, if any, is whole",),
        ) from error


def load(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of the file at `path`.

    Raises CheckpointError if the file is missing, truncated or not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        raw = Path(path).read_bytes()
        tensors = decode(raw)
        header, _ = _split(raw)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot read checkpoint `{os.fspath(path)}`: {reason}"
        raise fail(CheckpointError, "GC602", message) from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise fail(
            CheckpointError,
            "GC603",
            f"`{os.fspath(path)}` is not a whole safetensors file of NumPy dtypes",
            notes=(str(error).lower(),),
            helps=("it is truncated, damaged or of another format: use another checkpoint",),
        ) from error
    return tensors, header.get("__metadata__", {})


def match(
    tensors: Mapping[str, Array], expected: Mapping[str, Spec], path: PathLike, program: str
) -> None:
    """Check that `tensors`, read from `path`, are just the state of `program`.

    Raises CheckpointError that names the first tensors that are missing, unexpected or different.
    """
    wrong = [
        f"`{name}` is missing, `{program}` has it as {spec}"
        for name, spec in expected.items()
        if name not in tensors
    ]
    # Not in the order of `tensors`, which the library that read them makes anew in every run.
    for name in (*(n for n in expected if n in tensors), *sorted(tensors.keys() - expected)):
        found = Spec(tensors[name].shape, tensors[name].dtype)
        if name not in expected:
            wrong.append(f"`{name}` {found} is unexpected, `{program}` has no such tensor")
        elif found != expected[name]:
            wrong.append(f"`{name}` is {found} in the file, {expected[name]} in `{program}`")
    if not wrong:
        return
    more = len(wrong) - MISMATCHES_SHOWN
    notes = (*wrong[1:MISMATCHES_SHOWN], *([f"and {more} tensors more"] if more > 0 else []))
    raise fail(
        CheckpointError,
        "GC604",
        f"checkpoint `{os.fspath(path)}` is of another program: {wrong[0]}",
        notes=notes,
        helps=("load it into the program that wrote it, or train afresh",),
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path`; after a crash at any moment it holds the old or the new content.

    The draft lies in the same directory, named after this process; drafts of processes that died
    while writing are removed.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    for left in path.parent.glob(f".{_escaped(path.name)}.{_escaped(host)}-*.draft"):
        if not _is_alive(left.stem.rpartition("-")[2]):
            left.unlink(missing_ok=True)
    draft = path.with_name(f".{path.name}.{host}-{os.getpid()}.draft")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:  # an interrupt as well
        draft.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # elsewhere a directory cannot be opened
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)  # only now is the new name on the disk
        finally:
            os.close(directory)


def _escaped(name: str) -> str:
    """A file's name as a glob pattern that matches nothing else."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _is_alive(process: str) -> bool:
    """Whether a process of this machine is still there; when in doubt, it is."""
    if os.name != "posix" or not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _split(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file as JSON has it, and the bytes of its tensors."""
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), raw[end:]


def _sorted_metadata(raw: bytes) -> bytes:
    """The same file with its metadata in order: the library writes them in that of a hash table."""
    header, data = _split(raw)
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data
