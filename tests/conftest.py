"""What every test shares: a private build cache, one hypothesis profile, golden files, a target.

The build cache is a temporary folder that lives as long as the test run (all its processes), so
that a program built by two tests is compiled once and the user's own cache is neither read nor
written. Hypothesis draws the same examples on every run.

`--target` and `--compiler`, or the variables GRADC_TEST_TARGET and GRADC_TEST_COMPILER, run the
tests as on another machine: what a test builds for "native" is then built for that target, by that
compiler, except by tests that name their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).resolve().parent
CACHE_VARIABLE = "GRADC_CACHE_DIR"

# What `native` becomes: a target, and flags after gradc's own, which gcc and clang take.
TARGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "native": ("native", ()),
    "portable": ("portable", ()),
    "avx2": ("native", ("-march=x86-64-v3",)),
}

settings.register_profile(
    "gradc",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gradc")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-golden",
        action="store_true",
        help="write what the compiler emits now into tests/golden/ instead of comparing with it",
    )
    parser.addoption(
        "--target",
        choices=list(TARGETS),
        default=os.environ.get("GRADC_TEST_TARGET") or "native",
        help="what to build for where a test does not say (default: GRADC_TEST_TARGET, or native)",
    )
    parser.addoption(
        "--compiler",
        default=os.environ.get("GRADC_TEST_COMPILER") or None,
        help="the C compiler of tests that do not name one (default: GRADC_TEST_COMPILER, or none)",
    )


def build_for(target: str, compiler: str | None) -> None:
    """Let `native` mean another target, and have `compiler` found first."""
    if target not in TARGETS:  # from the variable: pytest has not looked at it
        raise pytest.UsageError(f"unknown target {target!r}: one of {', '.join(TARGETS)}")
    if compiler:
        os.environ["CC"] = compiler
    forced, cflags = TARGETS[target]
    if target == "native":
        return
    from gradc.program.options import Options

    check = Options.__post_init__

    def force(options: Options) -> None:
        if options.target == "native" and options.compiler != "zig":
            object.__setattr__(options, "target", forced)
            object.__setattr__(options, "cflags", (*cflags, *options.cflags))
        check(options)

    Options.__post_init__ = force  # type: ignore[method-assign]


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes run the tests unless `-n` says: one for each of up to four cores."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(4, len(usable(0)) if usable else os.cpu_count() or 1)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist, which inherits its parent's cache."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if not is_worker(config):
        os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="gradc-test-cache-")
    build_for(config.getoption("--target"), config.getoption("--compiler"))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not is_worker(config) and (cache := os.environ.pop(CACHE_VARIABLE, None)):
        shutil.rmtree(cache, ignore_errors=True)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts this process, also when a shell started it with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`check_golden(name, text)`: assert that `text` is the content of tests/golden/`name`.

    With `--renew-golden` the file is written instead; the difference then shows in git.
    """
    renew = request.config.getoption("--renew-golden")

    def compare(name: str, text: str) -> None:
        path = TESTS / "golden" / name
        if renew:
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path} is missing: run pytest with --renew-golden"
        assert text == path.read_text(encoding="utf-8"), (
            f"{name} changed; if that is meant, run pytest with --renew-golden and commit it"
        )

    return compare
