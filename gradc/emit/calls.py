"""The bodies of the entry points: checks, the table of the arena, the kernel calls in order.

Enters: planned entry points and the names of the kernels. Leaves: their functions in a writer.
Always holds: an entry point reads as the list of what it does, phase by phase; nothing is computed
before its arguments have been checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..dtypes import DType, c_name, short
from ..lower.bind import Call, Place
from ..lower.pointwise import Names, identifier
from ..lower.reserved import ARGUMENTS, RESERVED
from .entry import Argument, Check, Declarations, Entry, aligned
from .state import Member
from .writer import Writer

FORWARD = "forward pass"
TURN = "the forward pass ends in the loss, where the backward pass begins"
BACKWARD = (
    "backward pass, in reverse order; a parameter is updated as soon as its gradient is known"
)
UPDATE = "the rest of the state"


@dataclass(frozen=True)
class CallPrinter:
    """Prints entry points. `kernels` names the function of each call, `constants` that of each
    array.
    """

    d: Declarations
    members: Sequence[Member]
    kernels: Mapping[tuple[str, int], tuple[str, int, int]]
    constants: Mapping[tuple[str, int], str]

    def entry(self, e: Entry) -> Writer:
        """One call of the entry point."""
        w = Writer()
        w.comment(self.d.describe(e))
        self.d.signature(w, e, "")
        with w.block(""):
            for c in e.checks:
                self._check(w, e, c)
            for name in self._unused(e):
                w.line(f"(void){name};")
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
        return w

    def _check(self, w: Writer, e: Entry, c: Check) -> None:
        a = e.args[c.position]
        result = "NAN" if e.returns_value else str(1 + c.position)
        value = f"{a.identifier}[k]" if a.shape else a.identifier
        limits = np.iinfo(a.dtype)
        tests = [f"{value} < {c.lower}"] if c.lower > limits.min else []
        tests += [f"{value} >= {c.upper}"] if c.upper <= limits.max else []
        if not a.shape:
            with w.block(f"if ({' || '.join(tests)})"):
                w.line(f"return {result};")
            return
        with w.loop("k", a.size), w.block(f"if ({' || '.join(tests)})"):
            w.line(f"return {result};")

    def _unused(self, e: Entry) -> list[str]:
        """The parameters that nothing reads or writes, of which a compiler would warn."""
        used = {place for call in e.plan.calls for place in call.places}
        state = any(place.kind == "state" for place in used)
        checked = {e.args[c.position] for c in e.checks}
        args = [
            a for a in e.args if a not in checked and Place("argument", a.identifier) not in used
        ]
        outputs = [a for a in e.pointers if Place("output", a.identifier) not in used]
        unused = [a.identifier for a in (*args, *outputs)]
        return unused if state or not e.has_state else ["state", *unused]

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
        own = call.kernel.name
        if name != own and not name.startswith(f"{own}_"):
            w.comment(f"{own}, which is the same function on other arrays:")
        w.call(name, args, ";", call.kernel.nodes)

    def _expression(self, e: Entry, place: Place, names: dict[str, str]) -> str:
        match place.kind:
            case "state":
                return next(m.expression for m in self.members if m.name == place.name)
            case "constant":
                return self.constants[(e.name, int(place.name.rsplit("_", 1)[-1]))]
            case "output" if e.returns_value and place.name == e.outputs[0].identifier:
                return f"&{place.name}"
            case "argument" | "output":
                return place.name
        return names[place.name]

    def many(self, e: Entry) -> Writer:
        """Many steps in one call: gather the batch, step, keep the results."""
        w, rows = Writer(), e.batch or 1
        w.comment(self.d.describe_many(e))
        self.d.many_signature(w, e, "")
        data = [a for a in e.args if a.shape]
        names = Names(ARGUMENTS | {a.identifier for a in (*e.args, *e.outputs)})
        batch = {a.identifier: names.fresh(f"{a.identifier}_batch") for a in data}
        with w.block(""):
            if rows > 1:
                w.line("unsigned char *const base = (unsigned char *)arena;")
                offset = aligned(e.plan.memory.arena_bytes)
                for a in data:
                    kind = c_name(a.dtype)
                    where = f"({kind} *)(void *)(base + {offset})"
                    w.line(
                        f"{kind} *const {batch[a.identifier]} = {where};"
                        f" /* {short(a.dtype, a.shape)} */"
                    )
                    offset += aligned(a.size * a.dtype.itemsize)
            with w.block("for (size_t k = 0; k < count; ++k)"):
                if rows > 1:
                    with w.loop("i", rows):
                        w.line(f"const size_t sample = order[k * {rows} + i];")
                        self._stop(w)
                        for a in data:
                            self._gather(w, a, batch[a.identifier], a.size // rows)
                else:
                    w.line("const size_t sample = order[k];")
                    self._stop(w)
                given = [
                    (batch[a.identifier] if rows > 1 else f"&{_row(a.identifier, 'sample', a)}")
                    if a.shape
                    else a.identifier
                    for a in e.args
                ]
                outs = [f"&{_row(a.identifier, 'k', a)}" for a in e.pointers]
                result = f"{e.outputs[0].identifier}[k] = " if e.returns_value else ""
                w.call(f"{result}{self.d.function_name(e)}", ["state", *given, *outs, "arena"], ";")
            w.line("return count;")
        w.line()
        return w

    def _stop(self, w: Writer) -> None:
        with w.block("if (sample >= samples)"):
            w.line("return k;")

    def _gather(self, w: Writer, a: Argument, batch: str, width: int) -> None:
        """Row `sample` of an argument becomes row i of the batch."""
        if width == 1:
            w.line(f"{batch}[i] = {a.identifier}[sample];")
            return
        target = f"&{batch}[i * {width}]"
        source = f"&{a.identifier}[sample * {width}]"
        w.line(f"memcpy({target}, {source}, {width * a.dtype.itemsize});")


def _row(array: str, index: str, a: Argument) -> str:
    """The first element of row `index` of an array whose rows have the size of `a`."""
    return f"{array}[{index}]" if a.size == 1 else f"{array}[{index} * {a.size}]"
