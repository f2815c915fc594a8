"""What the command line understands.

Enters: words. Leaves: a namespace with `command`, `json` and the command's own options. Always
holds: wrong usage ends here, with status 2; neither NumPy nor networkx is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

TARGET = "a file and a name in it, such as model.py:step; the name is `step` if left out"
DESCRIPTION = "Compiles a model written as NumPy-style Python into one plain C training step."
EPILOG = "`gradc COMMAND --help` says more. To begin with: `gradc train examples/mnist.py`."


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the words of a command line; exits with status 2 if they make no sense."""
    return _parser().parse_args(argv)


def target(text: str) -> tuple[str, str]:
    """`path.py[:name]` as a pair."""
    path, name = (text, "step") if text.endswith(".py") else text.rpartition(":")[::2]
    if not path.endswith(".py") or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"`{text}` is not a Python file, or `file.py:name`")
    return path, name


def place(text: str) -> tuple[str, int]:
    """`file.py:12` as a pair."""
    file, _, line = text.rpartition(":")
    if not file or not line.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is not `file.py:line`")
    return file, int(line)


def count(text: str) -> int:
    """A number of at least one."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"`{text}` is not a positive integer")
    return int(text)


def natural(text: str) -> int:
    """A number of at least zero."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is not a non-negative integer")
    return int(text)


class _Version(argparse.Action):
    """`--version`, which reads the package's metadata only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **_: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"gradc {version('gradc')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gradc", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _build(commands)
    _train(commands)
    _inspect(commands)
    _check(commands)
    _command(commands, "doctor", "look at compiler, cache and packages, and say how to mend them")
    return parser


def _command(commands: Any, name: str, summary: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return command


def _with_target(command: argparse.ArgumentParser) -> None:
    command.add_argument("target", type=target, metavar="TARGET", help=TARGET)
    command.add_argument(
        "--seed",
        type=natural,
        metavar="N",
        help="given to TARGET if it is a function with a `seed`",
    )


def _build(commands: Any) -> None:
    command = _command(commands, "build", "compile, and say what was traced, planned and emitted")
    _with_target(command)
    command.add_argument(
        "--target",
        dest="machine",
        metavar="MACHINE",
        help="the instructions of the C: native, portable, avx512, avx2, sse or neon",
    )
    command.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        help="write the C, its header and an example that calls it there",
    )


def _train(commands: Any) -> None:
    command = _command(
        commands, "train", "build, and fit to the data that the file's `data()` gives"
    )
    _with_target(command)
    command.add_argument("--epochs", type=count, metavar="N", help="passes over the data, in all")
    command.add_argument("--batch", type=count, metavar="N", help="rows of a batch")
    command.add_argument("--lr", type=float, metavar="X", help="learning rate")
    command.add_argument(
        "--out", metavar="DIR", help="where the C and the checkpoint go (runs/<name>)"
    )
    command.add_argument(
        "--resume", action="store_true", help="continue from the checkpoint in DIR, if there is one"
    )


def _inspect(commands: Any) -> None:
    command = _command(commands, "inspect", "show the C, the graph, the memory plan, the kernels")
    _with_target(command)
    what = command.add_mutually_exclusive_group()
    what.add_argument("--c", action="store_true", help="the generated C")
    what.add_argument("--graph", action="store_true", help="every node, with the line it came from")
    what.add_argument("--memory", action="store_true", help="where every buffer lies, and when")
    what.add_argument("--kernels", action="store_true", help="every C function and its work")
    what.add_argument("--node", type=natural, metavar="N", help="all that is known of one node")
    what.add_argument(
        "--at", type=place, metavar="FILE:LINE", help="the nodes that came from a line of Python"
    )
    command.add_argument("--entry", metavar="NAME", help="the entry point (the main one)")


def _check(commands: Any) -> None:
    summary = "compare gradients with finite differences, and the C with NumPy"
    _with_target(_command(commands, "check", summary))
