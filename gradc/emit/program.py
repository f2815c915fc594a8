"""A program as one C file and one header.

Enters: the state's members and the planned entry points. Leaves: `Emitted`: the text of both, the
declarations for cffi, and for each line of C the nodes it comes from. Always holds: no heap, no globals but
constants; every name that leaves the file begins with the program's; a kernel that two entry points share
is emitted once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..dtypes import DType, c_name, short
from ..lower.bind import Call, EntryPlan, Place
from ..lower.kernels import RESERVED
from ..lower.nest import Kernel
from ..lower.pointwise import Names, identifier
from .kernel import KernelPrinter, Needs
from .state import Member, state_bytes, write_init, write_struct, write_values
from .writer import Writer


@dataclass(frozen=True)
class Argument:
    """An input or output of an entry point: the C name, and what the user calls it."""

    identifier: str
    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        total = 1
        for n in self.shape:
            total *= n
        return total


@dataclass(frozen=True)
class Check:
    """Integers of argument `position` must satisfy lower <= x < upper."""

    position: int
    lower: int
    upper: int


@dataclass(frozen=True)
class Entry:
    """One entry point: `args` and `outputs` in order; `batch` rows if it can be run many times."""

    name: str
    plan: EntryPlan
    args: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    updates: bool
    checks: tuple[Check, ...] = ()
    batch: int | None = None
    has_state: bool = True

    @property
    def returns_value(self) -> bool:
        """Whether the first output, a floating-point scalar, is the C function's result."""
        return (
            bool(self.outputs) and not self.outputs[0].shape and self.outputs[0].dtype.kind == "f"
        )

    @property
    def pointers(self) -> tuple[Argument, ...]:
        return self.outputs[1:] if self.returns_value else self.outputs

    @property
    def returns(self) -> str:
        if self.returns_value:
            return c_name(self.outputs[0].dtype)
        return "int" if self.checks else "void"

    @property
    def staging_bytes(self) -> int:
        """Room for one gathered batch, after the step's own arena."""
        if self.batch in (None, 1):
            return 0
        return sum(_aligned(a.size * a.dtype.itemsize) for a in self.args if a.shape)


@dataclass
class Emitted:
    """The generated text, and where each line of the source comes from."""

    source: str
    header: str
    cdef: str
    lines: list[tuple[str, tuple[int, ...]]]
    runtime: tuple[str, ...]
    arena_bytes: int
    kernels: dict[tuple[str, int], tuple[str, int, int]] = field(default_factory=dict)


FORWARD = "forward pass"
TURN = "the forward pass ends in the loss, where the backward pass begins"
BACKWARD = (
    "backward pass, in reverse order; a parameter is updated as soon as its gradient is known"
)
UPDATE = "the rest of the state"


def _aligned(n: int) -> int:
    return -(-n // 64) * 64


class ProgramPrinter:
    """Prints one program."""

    def __init__(self, name: str, members: Sequence[Member], entries: Sequence[Entry]) -> None:
        self.name = name
        self.members = members
        self.entries = entries
        self.needs = Needs()
        self.body = Writer()
        self.origin: list[tuple[str, tuple[int, ...]]] = []
        self.shared: dict[str, str] = {}
        self.functions = Names(RESERVED)
        self.kernels: dict[tuple[str, int], tuple[str, int, int]] = {}
        self.kernels_by_name: dict[str, tuple[str, int, int]] = {}
        self.constant_names: dict[tuple[str, int], str] = {}
        self.arena = max((e.plan.memory.arena_bytes for e in entries), default=0)
        self.steps_arena = max(
            (_aligned(e.plan.memory.arena_bytes) + e.staging_bytes for e in entries), default=0
        )

    def emit(self) -> Emitted:
        """Both files."""
        self._constants()
        for entry in self.entries:
            self._kernels(entry)
        for entry in self.entries:
            self._entry(entry)
            if entry.batch is not None and entry.updates:
                self._many(entry)
        draws = False
        if self._has_state:
            start = len(self.body.lines)
            draws = write_init(self.body, self.name, self.members)
            self.origin += [("", ())] * (len(self.body.lines) - start)
        head = self._head(draws)
        header, runtime = self._header(), ["gradc_simd.h"] if self.needs.vectors else []
        runtime += sorted(h for h in self.needs.headers if h.startswith("gradc_"))
        runtime += ["gradc_random.h"] if draws else []
        if "gradc_random.h" in runtime and "gradc_math.h" not in runtime:
            runtime.append("gradc_math.h")
        lines = [("", ())] * len(head.lines) + self.origin
        text = head.text + self.body.text.rstrip("\n") + "\n"
        shift = len(head.lines)
        kernels = {k: (n, a + shift, b + shift) for k, (n, a, b) in self.kernels.items()}
        cdef = self._cdef()
        return Emitted(text, header, cdef, lines, tuple(runtime), self.arena, kernels)

    @property
    def _has_state(self) -> bool:
        return any(e.has_state for e in self.entries)

    def _append(self, entry: str, w: Writer) -> None:
        self.body.extend(w)
        self.origin += [(entry, nodes) for nodes in w.nodes]

    # The top of the file and the header

    def _head(self, draws: bool) -> Writer:
        w = Writer()
        w.line(f"/* {self.name}.c: generated by gradc; C11; no heap, no globals, reentrant */")
        w.line()
        w.line(f'#include "{self.name}.h"')
        w.line()
        if any(h == "math.h" for h in self.needs.headers) or self._mentions("NAN", "INFINITY"):
            w.line("#include <math.h>")
        if self._mentions("memcpy(", "memset(", "memmove("):
            w.line("#include <string.h>")
        own = sorted(h for h in self.needs.headers if h.startswith("gradc_"))
        own += ["gradc_random.h"] if draws else []
        own += ["gradc_simd.h"] if self.needs.vectors else []
        if own:
            w.line()
            for h in own:
                w.line(f'#include "{h}"')
        w.line()
        if self._mentions("*restrict "):
            w.line("#ifdef __cplusplus")
            w.line("#define restrict __restrict")
            w.line("#endif")
            w.line()
        if self._has_state:
            size = f"sizeof({self.name}_state) == {self.name.upper()}_STATE_BYTES"
            w.line(f'static_assert({size}, "the state is laid out as planned");')
            w.line()
        return w

    def _mentions(self, *words: str) -> bool:
        return any(word in line for line in self.body.lines for word in words)

    def _header(self) -> str:
        w, upper = Writer(), self.name.upper()
        w.line(f"/* {self.name}.h: generated by gradc; the interface of {self.name}.c */")
        w.line(f"#ifndef GRADC_{upper}_H")
        w.line(f"#define GRADC_{upper}_H")
        w.line()
        w.line("#include <assert.h>")
        w.line("#include <stddef.h>")
        w.line("#include <stdint.h>")
        w.line()
        if any(m.alignment > 4 for m in self.members):
            w.line("#ifdef __cplusplus")
            w.line("#define GRADC_ALIGNED(n) alignas(n)")
            w.line("#else")
            w.line("#define GRADC_ALIGNED(n) _Alignas(n)")
            w.line("#endif")
            w.line()
        w.line("#ifdef __cplusplus")
        w.line('extern "C" {')
        w.line("#endif")
        w.line()
        w.comment(
            "Scratch that the caller provides, aligned to 64 bytes; its contents need not survive a call."
        )
        w.line(f"#define {upper}_ARENA_BYTES {self.arena}")
        if any(e.batch is not None and e.updates for e in self.entries):
            w.comment(
                "The same for the functions that run many steps, with room for a gathered batch."
            )
            w.line(f"#define {upper}_STEPS_ARENA_BYTES {self.steps_arena}")
        w.line()
        if self._has_state:
            w.comment(
                "Parameters, optimizer state, counters: everything that is kept between calls."
            )
            w.line(f"#define {upper}_STATE_BYTES {state_bytes(self.members)}")
            w.line(f"typedef struct {self.name}_state {self.name}_state;")
            write_struct(w, self.name, self.members)
            w.line()
            w.comment("Draw new parameters from the model's distributions; clear everything else.")
            w.line(f"void {self.name}_init({self.name}_state *state, uint64_t seed);")
            w.line()
        for entry in self.entries:
            w.comment(self._describe(entry))
            self._signature(w, entry, ";")
            if entry.batch is not None and entry.updates:
                w.comment(self._describe_many(entry))
                self._many_signature(w, entry, ";")
            w.line()
        w.line("#ifdef __cplusplus")
        w.line("}")
        w.line("#endif")
        w.line()
        w.line("#endif")
        return w.text

    def _describe(self, e: Entry) -> str:
        args = ", ".join(f"{a.identifier} {short(a.dtype, a.shape)}" for a in e.args)
        outs = ", ".join(f"{a.identifier} {short(a.dtype, a.shape)}" for a in e.outputs)
        text = f"{e.name}: takes {args or 'nothing'}; gives {outs or 'nothing'}"
        if e.updates:
            text += ", and replaces the state"
        for c in e.checks:
            text += f"; {e.args[c.position].identifier} must lie in {c.lower}..{c.upper - 1}"
        if e.checks:
            failed = "NAN" if e.returns_value else "1 + the argument's position (else 0)"
            text += f", else nothing is done and the result is {failed}"
        return text

    def _describe_many(self, e: Entry) -> str:
        return (
            f"{e.name}s: `count` steps; step k takes the rows order[k * {e.batch}] ... of the data,"
            f" which has `samples` rows; one {', '.join(a.identifier for a in e.outputs) or 'result'}"
            " a step; returns the number of steps done, fewer than `count` only when `order` names a"
            " row that is not there"
        )

    # Signatures

    def function_name(self, e: Entry) -> str:
        return f"{self.name}_{e.name}" if e.name else self.name

    def _params(self, e: Entry) -> list[str]:
        params: list[str] = []
        if e.has_state:
            params.append(f"{'' if e.updates else 'const '}{self.name}_state *state")
        for a in e.args:
            star = "*" if a.shape else ""
            params.append(f"const {c_name(a.dtype)} {star}{a.identifier}".replace("* ", "*"))
        params += [f"{c_name(a.dtype)} *{a.identifier}" for a in e.pointers]
        return [*params, "void *arena"]

    def _signature(self, w: Writer, e: Entry, end: str) -> None:
        w.call(f"{e.returns} {self.function_name(e)}", self._params(e), end)

    def _many_params(self, e: Entry) -> list[str]:
        params = [f"{self.name}_state *state"]
        params += [f"const {c_name(a.dtype)} *{a.identifier}" for a in e.args if a.shape]
        params += ["size_t samples", "const uint32_t *order", "size_t count"]
        params += [f"const {c_name(a.dtype)} {a.identifier}" for a in e.args if not a.shape]
        params += [f"{c_name(a.dtype)} *{a.identifier}" for a in e.outputs]
        return [*params, "void *arena"]

    def _many_signature(self, w: Writer, e: Entry, end: str) -> None:
        w.call(f"size_t {self.function_name(e)}s", self._many_params(e), end)

    def _cdef(self) -> str:
        w = Writer()
        if self._has_state:
            w.line(f"typedef struct {self.name}_state {self.name}_state;")
        for e in self.entries:
            w.line(f"{e.returns} {self.function_name(e)}({', '.join(self._params(e))});")
            if e.batch is not None and e.updates:
                w.line(f"size_t {self.function_name(e)}s({', '.join(self._many_params(e))});")
        return w.text

    # Constants and kernels

    def _constants(self) -> None:
        known: dict[tuple[str, bytes], str] = {}
        for e in self.entries:
            for node in e.plan.graph:
                if node.op != "const" or node.size <= 1:
                    continue
                value = node.attrs["value"]
                key = (f"{node.dtype} {node.shape}", value.tobytes())
                if key not in known:
                    known[key] = self.functions.fresh(f"constant_{len(known)}")
                    w = Writer()
                    w.comment(short(node.dtype, node.shape))
                    head = f"static const {c_name(node.dtype)} {known[key]}[{node.size}] ="
                    with w.block(head, end="};"):
                        write_values(w, value, node.dtype)
                    w.line()
                    self._append("", w)
                self.constant_names[(e.name, node.id)] = known[key]

    def _kernels(self, e: Entry) -> None:
        """The static functions of one entry point that no earlier one has."""
        for position, call in enumerate(e.plan.calls):
            if call.kernel is None:
                continue
            key = self._shape_of(call.kernel)
            known = self.shared.get(key)
            if known is not None:
                self.kernels[(e.name, position)] = self.kernels_by_name[known]
                continue
            name = self.functions.fresh(call.kernel.name)
            self.shared[key] = name
            w = Writer()
            KernelPrinter(call.kernel, w, self.needs).function(name)
            w.line()
            first = len(self.body.lines) + 1
            self._append(e.name, w)
            place = (name, first, len(self.body.lines) - 1)
            self.kernels[(e.name, position)] = place
            self.kernels_by_name[name] = place

    def _shape_of(self, kernel: Kernel) -> str:
        """The text of a kernel without its comments and whatever its parameters are called."""
        w = Writer()
        KernelPrinter(kernel, w, Needs()).function("kernel")
        text = "\n".join(line.strip() for line in w.lines if not line.startswith(("/*", " *")))
        text = re.sub(r"\s+", " ", text)
        for k, p in enumerate((*kernel.params, *kernel.scratch)):
            text = re.sub(rf"\b{p.name}\b", f"@{k}", text)
            text = re.sub(rf"\b{p.name}(_at(_\d+)?)\b", rf"@{k}\1", text)
        return text

    # Entry points

    def _entry(self, e: Entry) -> None:
        w = Writer()
        w.comment(self._describe(e))
        self._signature(w, e, "")
        with w.block(""):
            for c in e.checks:
                self._check(w, e, c)
            names = self._pointers(w, e)
            if e.returns_value:
                w.line(f"{c_name(e.outputs[0].dtype)} {e.outputs[0].identifier};")
            phase = ""
            for position, call in enumerate(e.plan.calls):
                phase = self._phase(w, e, call, phase)
                self._call(w, e, position, call, names)
            if e.returns_value:
                w.line(f"return {e.outputs[0].identifier};")
            elif e.checks:
                w.line("return 0;")
        w.line()
        self._append(e.name, w)

    def _check(self, w: Writer, e: Entry, c: Check) -> None:
        a = e.args[c.position]
        result = "NAN" if e.returns_value else str(1 + c.position)
        value = f"{a.identifier}[k]" if a.shape else a.identifier
        tests = [f"{value} >= {c.upper}"]
        if a.dtype.kind == "i":
            tests.insert(0, f"{value} < {c.lower}")
        if not a.shape:
            with w.block(f"if ({' || '.join(tests)})"):
                w.line(f"return {result};")
            return
        with w.loop("k", a.size), w.block(f"if ({' || '.join(tests)})"):
            w.line(f"return {result};")

    def _pointers(self, w: Writer, e: Entry) -> dict[str, str]:
        """The table of the arena: a pointer for each buffer the calls use."""
        used: dict[str, tuple[DType, tuple[int, ...]]] = {}
        for call in e.plan.calls:
            if call.kernel is None:
                for place in call.places:
                    if place.kind == "arena" and place.name not in used:
                        used[place.name] = (np.dtype(np.uint8), (call.size,))
                continue
            params = (*call.kernel.params, *call.kernel.scratch)
            for p, place in zip(params, call.places, strict=True):
                if place.kind == "arena" and place.name not in used:
                    used[place.name] = (p.dtype, p.shape)
        taken = {a.identifier for a in (*e.args, *e.outputs)} | {
            n for n, _, _ in self.kernels.values()
        }
        names = Names(RESERVED | frozenset(taken) | {"base"})
        if not used:
            w.line("(void)arena;")
            return {}
        w.line("unsigned char *const base = (unsigned char *)arena;")
        found: dict[str, str] = {}
        for buffer in sorted(used, key=lambda n: (e.plan.memory[n].first, n)):
            dtype, shape = used[buffer]
            planned = e.plan.memory[buffer]
            found[buffer] = names.fresh(identifier(buffer.rsplit(".", 1)[-1]))
            kind = c_name(dtype)
            where = f"({kind} *)(void *)(base + {planned.offset})"
            live = f"kernels {planned.first + 1}-{planned.last}"
            w.line(f"{kind} *const {found[buffer]} = {where}; /* {short(dtype, shape)}, {live} */")
        w.line()
        return found

    def _phase(self, w: Writer, e: Entry, call: Call, before: str) -> str:
        """A comment where the step passes from one phase to the next."""
        if call.kernel is None:
            phase = "new values of the state that could not be written in place"
        else:
            nodes = [e.plan.graph[i] for i in call.kernel.nodes]
            backward = {n.of is not None for n in nodes}
            first = backward == {False} and not call.kernel.name.startswith("update_")
            phase = FORWARD if first else BACKWARD if True in backward else UPDATE
            if backward == {True, False} and not call.kernel.name.startswith("update_"):
                phase = TURN
        if phase != before and e.updates:
            w.comment(phase)
        return phase

    def _call(self, w: Writer, e: Entry, position: int, call: Call, names: dict[str, str]) -> None:
        args = [self._expression(e, place, names) for place in call.places]
        if call.kernel is None:
            w.line(f"memcpy({args[0]}, {args[1]}, {call.size});")
            return
        name = self.kernels[(e.name, position)][0]
        w.call(name, args, ";", call.kernel.nodes)

    def _expression(self, e: Entry, place: Place, names: dict[str, str]) -> str:
        match place.kind:
            case "state":
                return next(m.expression for m in self.members if m.name == place.name)
            case "constant":
                return self.constant_names[(e.name, int(place.name.rsplit("_", 1)[-1]))]
            case "output" if e.returns_value and place.name == e.outputs[0].identifier:
                return f"&{place.name}"
            case "argument" | "output":
                return place.name
        return names[place.name]

    def _many(self, e: Entry) -> None:
        """Many steps in one call: gather the batch, step, keep the results."""
        w, rows = Writer(), e.batch or 1
        w.comment(self._describe_many(e))
        self._many_signature(w, e, "")
        data = [a for a in e.args if a.shape]
        with w.block(""):
            if rows > 1:
                w.line("unsigned char *const base = (unsigned char *)arena;")
                offset = _aligned(e.plan.memory.arena_bytes)
                for a in data:
                    kind = c_name(a.dtype)
                    where = f"({kind} *)(void *)(base + {offset})"
                    w.line(
                        f"{kind} *const {a.identifier}_batch = {where}; /* {short(a.dtype, a.shape)} */"
                    )
                    offset += _aligned(a.size * a.dtype.itemsize)
            with w.block("for (size_t k = 0; k < count; ++k)"):
                if rows > 1:
                    with w.loop("i", rows):
                        w.line(f"const size_t sample = order[k * {rows} + i];")
                        self._stop(w)
                        for a in data:
                            self._gather(w, a, a.size // rows)
                else:
                    w.line("const size_t sample = order[k];")
                    self._stop(w)
                given = [
                    (f"{a.identifier}_batch" if rows > 1 else f"&{a.identifier}[sample * {a.size}]")
                    if a.shape
                    else a.identifier
                    for a in e.args
                ]
                outs = [
                    f"&{a.identifier}[k{'' if a.size == 1 else f' * {a.size}'}]" for a in e.pointers
                ]
                result = f"{e.outputs[0].identifier}[k] = " if e.returns_value else ""
                w.call(f"{result}{self.function_name(e)}", ["state", *given, *outs, "arena"], ";")
            w.line("return count;")
        w.line()
        self._append(e.name, w)

    def _stop(self, w: Writer) -> None:
        with w.block("if (sample >= samples)"):
            w.line("return k;")

    def _gather(self, w: Writer, a: Argument, width: int) -> None:
        if width == 1:
            w.line(f"{a.identifier}_batch[i] = {a.identifier}[sample];")
            return
        target = f"&{a.identifier}_batch[i * {width}]"
        source = f"&{a.identifier}[sample * {width}]"
        w.line(f"memcpy({target}, {source}, {width * a.dtype.itemsize});")
