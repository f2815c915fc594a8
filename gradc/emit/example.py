"""The example that is exported beside a program.

Enters: a program's interface, and the command that compiles it. Leaves: a C program that trains on
numbers it draws itself, or else calls each entry point once. Always holds: it compiles as it is,
and shows everything a caller has to provide; its arrays are no constants, so they take no flash.
"""

from __future__ import annotations

import textwrap

from ..cnames import Names
from ..dtypes import c_name, is_bool, is_float
from ..lower.reserved import GLOBAL
from .entry import Argument, Entry
from .expressions import literal
from .interface import Interface
from .writer import WIDTH, Writer

STEPS = 100
"""How often the example trains on its batch."""
OWN = frozenset({"random_bits", "failed", "first", "k"})


def example_main(p: Interface, command: str) -> str:
    """The text of the example. `command` compiles it, with the flags that gradc uses itself."""
    w = Writer()
    w.line(f"/* {p.name}_example.c: how to call {p.name}.c, written by gradc; compile it with")
    w.line(" *")
    lines = textwrap.wrap(command, WIDTH - 12, break_on_hyphens=False, break_long_words=False)
    for line in lines[:-1]:
        w.line(f" *     {line} \\")
    w.line(f" *     {lines[-1]}")
    w.line(" */")
    w.line(f'#include "{p.name}.h"')
    w.line()
    w.line("#include <stdio.h>")
    if p.layout is not None or p.arena_members:
        w.line()
    if p.layout is not None:
        w.line(f"static {p.name}_state state;")
    if p.arena_members:
        w.line(f"static {p.arena_type} arena;")
    if any(a.size and a.default is None for e in p.entries for a in e.args):
        w.line()
        _write_random(w)
    for e in p.entries:
        w.line()
        _write_call(w, p, e)
    w.line()
    w.line("int main(void)")
    with w.block(""):
        if p.layout is not None:
            w.line(f"{p.init}(&state, 1);")
        for k, e in enumerate(p.entries):
            w.line(f"{'int ' if not k else ''}failed = {_tried(p, e)}();")
            with w.block("if (failed != 0)"):
                w.line("return failed;")
        w.line("return 0;")
    return w.text


def _tried(p: Interface, e: Entry) -> str:
    return f"try_{p.function(e)}"


def _write_random(w: Writer) -> None:
    """The numbers that the example computes with."""
    w.comment("Numbers to compute with: 16 bits of a linear congruential generator.")
    w.line("static uint32_t random_bits(void)")
    with w.block(""):
        w.line("static uint32_t last = 1;")
        w.line("last = last * UINT32_C(1664525) + UINT32_C(1013904223);")
        w.line("return last >> 16;")


def _trains(e: Entry) -> bool:
    """Whether its first result can be watched while the state changes."""
    first = e.outputs[:1]
    return e.updates and bool(first) and not first[0].shape and is_float(first[0].dtype)


def _write_call(w: Writer, p: Interface, e: Entry) -> None:
    """A function that makes up arguments, and calls the entry point with them."""
    function = p.function(e)
    names = Names(GLOBAL | OWN | {function})
    called = {a.identifier: names.fresh(a.identifier) for a in (*e.args, *e.outputs)}
    w.line(f"static int {_tried(p, e)}(void)")
    with w.block(""):
        for a in (*e.args, *e.pointers):
            extent = f"[{max(a.size, 1)}]" if a.shape else ""
            w.line(f"static {c_name(a.dtype)} {called[a.identifier]}{extent};")
        for position, a in enumerate(e.args):
            _fill(w, called[a.identifier], a, _range(e, position))
        call = p.example_call(e, called)
        if e.returns_value:
            w.line(f'printf("{function}: %g\\n", (double){call});')
            w.line("return 0;")
        elif _trains(e):
            _write_training(w, function, call, called[e.outputs[0].identifier])
        else:
            w.line(f"const int failed = {call};")
            w.line(f'printf("{function}: status %d\\n", failed);')
            w.line("return failed;")


def _write_training(w: Writer, function: str, call: str, value: str) -> None:
    """Many steps on one batch, of which the first and the last value are shown."""
    w.line("double first = 0;")
    with w.loop("k", STEPS):
        w.line(f"const int failed = {call};")
        with w.block("if (failed != 0)"):
            w.line(f'printf("{function}: status %d\\n", failed);')
            w.line("return failed;")
        with w.block("if (k == 0)"):
            w.line(f"first = (double){value};")
    w.line(f'printf("{function}: from %g to %g in {STEPS} calls\\n", first, (double){value});')
    w.line("return 0;")


def _range(e: Entry, position: int) -> tuple[int, int]:
    """Which integers an argument may be: from the first up to below the second."""
    found = [(c.lower, c.upper) for c in e.checks if c.position == position]
    return (max(low for low, _ in found), min(high for _, high in found)) if found else (0, 2)


def _fill(w: Writer, name: str, a: Argument, within: tuple[int, int]) -> None:
    """Give an argument its numbers: reals from 0 to 1, integers within their range."""
    if a.default is not None:
        w.line(f"{name} = {literal(a.default, a.dtype)};")
        return
    if is_float(a.dtype):
        number = f"({c_name(a.dtype)})random_bits() / {literal(65536.0, a.dtype)}"
    elif is_bool(a.dtype):
        number = f"({c_name(a.dtype)})(random_bits() % 2)"
    else:
        low, high = within
        drawn = f"random_bits() % {max(1, min(high - low, 65536))}"
        number = f"({c_name(a.dtype)})({f'{low} + (int32_t)({drawn})' if low else drawn})"
    if not a.shape:
        w.line(f"{name} = {number};")
    elif a.size:
        with w.loop("k", a.size):
            w.line(f"{name}[k] = {number};")
