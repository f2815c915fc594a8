"""Where words go: data to stdout, everything else to stderr.

Enters: data, stages, diagnostics. Leaves: text. Always holds: stdout carries nothing but the data
asked for, with `--json` exactly one object; colour is on stderr's verbs only, on a terminal only,
and never when NO_COLOR is set.
"""

from __future__ import annotations

import json as json_text
import os
import sys
from typing import Any, TextIO

from ..errors import Diagnostic

VERB_WIDTH, WHAT_WIDTH, DETAIL_WIDTH = 12, 18, 46
GREEN = "\x1b[1;32m{}\x1b[0m"


class Console:
    """One command's output."""

    def __init__(self, json: bool) -> None:
        self.json = json
        self.colour = wants_colour(sys.stderr)

    def data(self, text: str, data: Any) -> None:
        """What was asked for: `text` for people, `data` under `--json`."""
        if self.json:
            text = json_text.dumps(data, ensure_ascii=False)
        print(text)

    def say(self, text: str) -> None:
        """A remark."""
        print(text, file=sys.stderr, flush=True)

    def stage(self, verb: str, what: str, detail: str = "", seconds: float | None = None) -> None:
        """`Traced loss  19 nodes  1.5 ms`: the verb ends in the twelfth column."""
        shown = f"{verb:>{VERB_WIDTH}}"
        if self.colour:
            shown = GREEN.format(shown)
        time = "" if seconds is None else duration(seconds)
        line = f" {what:<{WHAT_WIDTH}} {detail:<{DETAIL_WIDTH}} {time}".rstrip()
        self.say(shown + line)

    def error(self, diagnostic: Diagnostic) -> None:
        """Show what went wrong."""
        if self.json:
            print(json_text.dumps({"error": diagnostic.as_dict()}, ensure_ascii=False))
        self.say(diagnostic.render("full", colour=self.colour))


def wants_colour(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user has nothing against colour."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """`1.5 ms`, `0.78 s`, `2 min 5 s`."""
    if seconds < 0.1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 100:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
