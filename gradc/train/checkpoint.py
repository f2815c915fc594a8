"""Checkpoints: named arrays in one safetensors file.

Enters: arrays and text metadata, or a file. Leaves: the file, or the arrays. Always holds: a file
appears whole or not at all, and until then the one before it stays; equal content is equal bytes;
whatever is wrong with a file, down to one bit, is a `CheckpointError`, never an error of the
library that read it and never other numbers.

The metadata of a file written here carry, beside the caller's,

    gradc.format   "1"
    gradc.sha256   the SHA-256 of the whole file, taken while this value is 64 zeros

so that any reader of safetensors can read it and this one sees that it is what was written. A file
with any name in `gradc.` must have the right checksum: no single damage can hide both names. One
with neither is from another program; it is read, and damage to its numbers cannot be seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..dtypes import Spec
from ..errors import CheckpointError, fail
from ..files import PathLike, read_regular

Array = np.ndarray[Any, Any]

MISMATCHES_SHOWN = 3

# Names in a file's metadata that are gradc's own.
OWN = "gradc."
FORMAT, CHECKSUM = OWN + "format", OWN + "sha256"
NO_CHECKSUM = "0" * 64


def save(
    path: PathLike, tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors` and `metadata` to `path`, with a checksum, in place of what is there.

    Raises CheckpointError if that is impossible (no space, no permission); what was there stays.
    """
    from safetensors.numpy import save as encode

    # The library writes the memory as it lies; `asarray` keeps 0-d arrays what they are.
    dense = {name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}
    described = {**(metadata or {}), FORMAT: "1", CHECKSUM: NO_CHECKSUM}
    with writing(path):
        write_atomically(Path(path), *_checksummed(encode(dense, described)))


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

    Raises CheckpointError if the file is missing, truncated, damaged or not a safetensors file.
    Files of other programs are read too; these have no checksum, so that only damage to their
    structure is noticed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        raw = read_regular(path)
        header, _ = _split(raw)
        metadata = header.get("__metadata__", {})
        intact = _is_intact(raw, metadata)
        tensors = decode(raw)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        message = f"cannot read checkpoint `{os.fspath(path)}`: {reason}"
        helps = ("give the path of a file that `save` or `fit` wrote",)
        raise fail(CheckpointError, "GC602", message, helps=helps) from None
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise fail(
            CheckpointError,
            "GC603",
            f"`{os.fspath(path)}` is not a whole safetensors file of NumPy dtypes",
            notes=(str(e).lower(),),
            helps=("it is truncated, damaged or of another format: use another checkpoint",),
        ) from e
    if not intact:
        raise fail(
            CheckpointError,
            "GC607",
            f"`{os.fspath(path)}` is not what was written: its checksum is of other content",
            notes=("the file was damaged, or changed by another program",),
            helps=("use another checkpoint",),
        )
    return tensors, {k: v for k, v in metadata.items() if k not in (FORMAT, CHECKSUM)}


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


def write_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Replace the file at `path` by the parts of `content`, joined.

    After a crash at any moment it holds the old or the new content. The draft lies in the same
    directory, named after this process; drafts of processes that died while writing are removed.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    for left in path.parent.glob(f".{_escaped(path.name)}.{_escaped(host)}-*.draft"):
        if not _is_alive(left.stem.rpartition("-")[2]):
            left.unlink(missing_ok=True)
    draft = path.with_name(f".{path.name}.{host}-{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    try:
        with open(draft, "xb") as file:  # never through a link that lies there
            file.writelines(content)
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


def _split(raw: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header of a safetensors file as JSON has it, and the bytes of its tensors."""
    end = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:end]), memoryview(raw)[end:]


def _checksummed(raw: bytes) -> tuple[bytes, memoryview]:
    """The same file, its metadata in order and with its checksum: what precedes the data, and that.

    The library writes metadata in the order of a hash table.
    """
    header, data = _split(raw)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    before = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(before)
    digest.update(data)
    return _replaced(before, NO_CHECKSUM, digest.hexdigest()), data


def _is_intact(raw: bytes, metadata: Mapping[str, Any]) -> bool:
    """Whether a file has the checksum it should have; one from elsewhere should have none."""
    if not any(name.startswith(OWN) for name in metadata):
        return True
    written = metadata.get(CHECKSUM)
    if not isinstance(written, str) or not re.fullmatch("[0-9a-f]{64}", written):
        return False
    end = 8 + int.from_bytes(raw[:8], "little")
    digest = hashlib.sha256(_replaced(raw[:end], written, NO_CHECKSUM))
    digest.update(memoryview(raw)[end:])
    return digest.hexdigest() == written


def _replaced(header: bytes, old: str, new: str) -> bytes:
    """A header with the value of its checksum, as `_checksummed` writes it, changed."""
    entries = [f'"{CHECKSUM}":"{value}"'.encode() for value in (old, new)]
    return header.replace(entries[0], entries[1])
