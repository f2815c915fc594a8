"""The parameters as data: constants of a C file, or the bytes of a file that `<name>_load` reads.

Enters: the interface of a program, and a value for each member of its parameters. Leaves: C text,
or bytes. Always holds: what is read back is what was given, bit for bit; the constants are in the
order of the struct, the file is in that of Python, so that one file suits every target.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import short
from .extents import Extents
from .interface import Interface
from .layout import Member, Section
from .needs import standard_headers
from .state import array_comment, stored, write_values
from .writer import Writer

HEAD_BYTES = 16
"""Of a file: 8 bytes that identify the model, and 8 of checksum."""

Values = Sequence[np.ndarray[Any, Any]]


def _section(p: Interface) -> Section:
    assert p.layout is not None
    assert p.layout.params is not None, "there are no parameters"
    return p.layout.params


def _members(p: Interface) -> list[Member]:
    """The parameters that are in the struct: C has no empty arrays."""
    return [m for m in _section(p).members if m.size]


# Constants


def parameters_header(p: Interface) -> str:
    """The text of `<name>_parameters.h`."""
    w, guard = Writer(), f"GRADC_{p.upper}_PARAMETERS_H"
    queries = [p.function(e) for e in p.entries if e.scope == "params"]
    text = f"{p.name}_parameters.h: the parameters of {p.name} as constants,"
    text += f" {_section(p).nbytes:,} bytes."
    if queries:
        text += f" {' and '.join(queries)} take &{p.name}_parameters as it is, from flash too."
    text += f" To train on, copy them: `state.params = {p.name}_parameters;` after {p.init}."
    w.comment(text)
    w.line(f"#ifndef {guard}")
    w.line(f"#define {guard}")
    w.line()
    w.line(f'#include "{p.name}.h"')
    w.line()
    w.line("#ifdef __cplusplus")
    w.line('extern "C" {')
    w.line("#endif")
    w.line()
    w.line(f"extern const {_section(p).type} {p.name}_parameters;")
    w.line()
    w.line("#ifdef __cplusplus")
    w.line("}")
    w.line("#endif")
    w.line()
    w.line("#endif")
    return w.text


def parameters_source(p: Interface, values: Values) -> str:
    """The text of `<name>_parameters.c`; `values` are those of the members, in Python's order."""
    body = Writer()
    with body.block(f"const {_section(p).type} {p.name}_parameters =", end="};"):
        for m, value in zip(_section(p).members, values, strict=True):
            _constant(body, m, value)
        if not _members(p):
            body.line("0,")
    w = Writer()
    w.line(f"/* {p.name}_parameters.c: written by gradc; belongs to the {p.name}.h beside it */")
    w.line()
    w.line(f'#include "{p.name}_parameters.h"')
    w.line()
    for header in standard_headers(body.needs):
        w.line(f"#include <{header}>")
        w.line()
    w.extend(body)
    return w.text


def _constant(w: Writer, m: Member, value: np.ndarray[Any, Any]) -> None:
    """One member of the struct."""
    if not m.size:
        return
    w.comment(f"{m.identifier} {array_comment(m)}")
    if not m.shape:
        write_values(w, value, m.dtype)
        return
    with w.block("", end="},"):
        write_values(w, stored(m, value), m.dtype)


# The file


def file_id(p: Interface) -> int:
    """64 bits that identify the model: the program's name, and its parameters' names and types."""
    lines = [p.name, *(f"{m.identifier} {short(m.dtype, m.shape)}" for m in _section(p).members)]
    digest = hashlib.blake2b("\n".join(lines).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def file_bytes(p: Interface) -> int:
    """The length of the file."""
    return HEAD_BYTES + sum(m.nbytes for m in _section(p).members)


def parameters_file(p: Interface, values: Values) -> bytes:
    """The content of `<name>_parameters.bin`: identity, checksum, arrays; all little-endian."""
    members = zip(_section(p).members, values, strict=True)
    data = b"".join(v.astype(m.dtype.newbyteorder("<")).tobytes("C") for m, v in members)
    return b"".join(n.to_bytes(8, "little") for n in (file_id(p), zlib.crc32(data))) + data


def declare_load(w: Writer, p: Interface) -> None:
    """What the header says of `<name>_load`."""
    w.comment(
        f"Take the parameters from the content of {p.name}_parameters.bin, which lies anywhere in"
        f" memory and has {p.file_size} bytes, little-endian: {p.file_identity}, the CRC-32 of what"
        f" follows (8 bytes each), and the arrays in the order of {_section(p).type} with their"
        f" last index running fastest, none transposed. {p.wrong_file}, and nothing is written, if"
        " it is of another model, is cut short or has changed."
    )
    w.line(f"#define {p.file_identity} UINT64_C(0x{file_id(p):016x})")
    w.line(f"#define {p.file_size} {file_bytes(p)}")
    _signature(w, p, ";")
    w.line()


def _signature(w: Writer, p: Interface, end: str) -> None:
    params = [f"{_section(p).type} *params", "const void *file", "size_t bytes"]
    w.call(f"int {p.load}", params, end)


def write_load(w: Writer, p: Interface, extents: Extents) -> None:
    """The definition of `<name>_load`."""
    w.need("gradc_file.h", "string.h")
    _signature(w, p, "")
    with w.block(""):
        w.line("const unsigned char *from = (const unsigned char *)file;")
        w.line("uint64_t head[2]; /* which model, and the checksum of what follows */")
        with w.block(f"if (bytes != {p.file_size})"):
            w.line(f"return {p.wrong_file};")
        w.line("memcpy(head, from, sizeof head);")
        w.line("from += sizeof head;")
        checksum = "gradc_crc32(from, bytes - sizeof head)"
        with w.block(f"if (head[0] != {p.file_identity} || head[1] != {checksum})"):
            w.line(f"return {p.wrong_file};")
        w.line()
        members = _members(p)
        if not members:
            w.line("(void)params;")
        for m in members:
            _read(w, m, extents, last=m is members[-1])
        w.line(f"return {p.ok};")
    w.line()


def _read(w: Writer, m: Member, extents: Extents, last: bool) -> None:
    """Take one array out of the file."""
    target = f"{'' if m.shape else '&'}params->{m.identifier}"
    args, function = [f"sizeof params->{m.identifier}"], "gradc_read"
    if m.swapped:
        columns, rows = extents.member(m)
        args, function = [rows, columns, f"sizeof *{target}"], "gradc_read_transposed"
    w.call(f"{'' if last else 'from = '}{function}", [target, "from", *args], ";")
