"""What is said where no C compiler is found, or the one asked for will not do: before tracing."""

from __future__ import annotations

import numpy as np
import pytest

import gradc as gd
from gradc.errors import BuildError


def test_without_any_compiler_a_library_call_warns_at_the_users_line(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("gradc.toolchain.compilers._zig_command", lambda: ("zig", "cc"))
    with pytest.warns(UserWarning, match="no C compiler was found.*pip install ziglang") as caught:
        function = gd.compile(lambda x: x * 2, gd.f32[3])
    assert caught[0].filename == __file__
    assert "x" in function.source
    with pytest.raises(BuildError, match="no C compiler was found"):
        function(np.ones(3, np.float32))


def test_a_compiler_that_is_not_there_is_said_before_anything_is_traced():
    def never(x):
        raise AssertionError("traced")

    with pytest.raises(BuildError, match="`no-such-cc`"):
        gd.compile(never, gd.f32[3], compiler="no-such-cc")
    with pytest.raises(BuildError, match="refuses `-fno-such-flag`"):
        gd.compile(never, gd.f32[3], cflags=["-O1", "-fno-such-flag"])
