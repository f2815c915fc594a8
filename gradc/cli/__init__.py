"""The command line: `gradc build | train | inspect | check | doctor`.

Enters: words. Leaves: data on stdout, everything else on stderr, and an exit status: 0, 1 for an
error of the user's, 2 for wrong usage, 130 after Ctrl-C. Always holds: a command is a module with
`run(arguments, console)`, imported only when it is called; nothing else here imports NumPy.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextvars import copy_context
from dataclasses import replace

from ..errors import GradcError
from .arguments import parse
from .console import Console

INTERRUPTED = 130
# Commands that need no C compiler; the others say that there is none before they trace anything.
READ_ONLY = ("doctor", "inspect")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    arguments = parse(argv)
    console = Console(json=arguments.json)
    try:
        status = copy_context().run(_run, arguments, console)
        sys.stdout.flush()
    except GradcError as error:
        return _failed(error, console)
    except KeyboardInterrupt as stop:
        for line in (*map(str, stop.args), *getattr(stop, "__notes__", ())):
            console.say(line)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read stdout has gone (`gradc inspect ... | head`); what is left cannot be flushed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _run(arguments: argparse.Namespace, console: Console) -> int:
    """The command, in a context of its own: what it sets there ends with it."""
    command = importlib.import_module(f".{arguments.command}", __name__)
    compilers = importlib.import_module("..toolchain.compilers", __name__)
    compilers.WITHOUT_COMPILER.set("go on" if arguments.command in READ_ONLY else "fail")
    status: int = command.run(arguments, console)
    return status


def _failed(error: GradcError, console: Console) -> int:
    if os.environ.get("GRADC_TRACEBACK") == "full":
        traceback.print_exception(error, file=sys.stderr)
    notes = (*error.diagnostic.notes, *getattr(error, "__notes__", ()))
    console.error(replace(error.diagnostic, notes=notes))
    return 1
