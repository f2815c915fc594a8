"""The C headers of runtime/ on their own: compiled with every compiler found, run, and judged.

Enters: gradc_lanes.h, gradc_math.h and gradc_random.h, through the programs tests/c/runtime_*.c.
Always holds: nothing here knows of graphs. All 2^32 floats are tried by hand: build
tests/c/runtime_math.c and run it without arguments.
"""

from __future__ import annotations

import math
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gradc.ops import OPS

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ROOT / "runtime"
PROGRAMS = ROOT / "tests" / "c"

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
C11 = ["-std=c11"]
CPP17 = ["-x", "c++", "-std=c++17"]
FAST = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
# On ARM `-march` is the architecture only; clang takes `native` under `-mcpu` alone.
NATIVE = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

# `cc` is one of the others, or the only one there is.
C_COMPILERS = tuple(c for c in ("gcc", "clang") if shutil.which(c)) or ("cc",)
CPP_COMPILERS = ("g++", "clang++")
BUILDS = {
    "plain": ["-O2", "-ffp-contract=off"],
    "native": [*FAST, NATIVE],
    "sanitized": SANITIZERS,
}

HEADERS = (
    "gradc_convert.h",
    "gradc_lanes.h",
    "gradc_math.h",
    "gradc_random.h",
    "gradc_simd.h",
)
FLOAT_FUNCTIONS = "expf expm1f logf log1pf tanhf sigmoidf erff sinf cosf".split()


def found(compiler: str) -> str:
    """The compiler's path; skips the test where it is not installed."""
    path = shutil.which(compiler)
    if path is None:
        pytest.skip(f"no {compiler} on PATH")
    return path


def check_run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command; assert that it succeeds."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done


def build(compiler: str, flags: list[str], source: Path, folder: Path) -> Path:
    program = folder / source.stem
    options = [*flags, *WARNINGS, "-I", str(RUNTIME)]
    check_run([found(compiler), *options, str(source), "-o", str(program), "-lm"])
    return program


def run_program(compiler: str, flags: list[str], name: str, folder: Path, *args: str) -> list[str]:
    """The lines that tests/c/`name` prints."""
    program = build(compiler, flags, PROGRAMS / name, folder)
    return check_run([str(program), *args]).stdout.splitlines()


def builds() -> list[object]:
    """Every way to build that is worth telling apart: (compiler, flags)."""
    as_c = [
        pytest.param(compiler, [*C11, *flags], id=f"{compiler}-{name}")
        for compiler in C_COMPILERS
        for name, flags in BUILDS.items()
    ]
    as_cpp = [pytest.param(c, [*CPP17, *BUILDS["plain"]], id=c) for c in CPP_COMPILERS]
    return [*as_c, *as_cpp]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("compiler", "language"),
    [*((c, C11) for c in C_COMPILERS), *((c, CPP17) for c in CPP_COMPILERS)],
)
def test_header_compiles_alone_without_a_warning(
    compiler: str, language: list[str], header: str, tmp_path: Path
) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\nint main(void) {{ return 0; }}\n')
    check_run([str(build(compiler, [*language, "-O2"], source, tmp_path))])


@pytest.mark.parametrize(("compiler", "flags"), builds())
def test_float_functions_are_within_two_ulp(
    compiler: str, flags: list[str], tmp_path: Path
) -> None:
    # Strides that are odd meet every exponent, both signs and, in time, all last bits.
    stride = "257" if NATIVE in flags else "4099"
    lines = run_program(compiler, flags, "runtime_math.c", tmp_path, "0", stride)
    worst = {name: float(ulp) for name, ulp, _ in (line.split() for line in lines)}
    assert sorted(f"{name}f" for name in worst) == sorted(FLOAT_FUNCTIONS)
    assert {name: ulp for name, ulp in worst.items() if not ulp <= 2} == {}


@pytest.mark.parametrize(("compiler", "flags"), builds())
def test_lanes_are_joined_in_one_order(compiler: str, flags: list[str], tmp_path: Path) -> None:
    assert run_program(compiler, flags, "runtime_lanes.c", tmp_path) == ["0 failures"]


@pytest.mark.parametrize("compiler", C_COMPILERS)
def test_only_what_is_used_is_imported(compiler: str, tmp_path: Path) -> None:
    nm = shutil.which("nm")
    if nm is None:
        pytest.skip("no nm on PATH")
    for flags in (["-O0"], FAST):
        source, compiled = tmp_path / "one.c", tmp_path / "one.o"
        source.write_text(
            '#include "gradc_math.h"\nfloat one(float);\n'
            "float one(float x) { return gradc_expf(x); }\n"
        )
        include = ["-I", str(RUNTIME)]
        check_run([found(compiler), *C11, *flags, *include, "-c", str(source), "-o", str(compiled)])
        undefined = check_run([nm, "--undefined-only", str(compiled)]).stdout.split()
        assert set(undefined) - {"U", "memcpy", "_memcpy"} == set()


@pytest.mark.parametrize("machine", ["haswell", "skylake-avx512"])
@pytest.mark.parametrize(
    ("compiler", "oldest", "report"),
    [
        ("gcc", 12, ["-fopt-info-vec-optimized"]),
        ("clang", 14, ["-Rpass=loop-vectorize"]),
    ],
)
def test_plain_loops_become_vector_code(
    compiler: str, oldest: int, report: list[str], machine: str, tmp_path: Path
) -> None:
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the instruction sets named here are those of x86-64")
    path = found(compiler)
    version = re.search(r"(\d+)\.\d+\.\d+", check_run([path, "--version"]).stdout)
    if version is None or int(version[1]) < oldest:
        pytest.skip(f"{compiler} older than {oldest}")
    source = tmp_path / "loops.c"
    loops = [
        f"void loop_{name}(float *restrict out, const float *restrict in, size_t n) "
        f"{{ for (size_t i = 0; i < n; ++i) out[i] = gradc_{name}(in[i]); }}"
        for name in FLOAT_FUNCTIONS
    ]
    source.write_text("\n".join(['#include "gradc_math.h"', "#include <stddef.h>", *loops]))
    flags = [*C11, *FAST, f"-march={machine}", *report, "-I", str(RUNTIME)]
    done = check_run([path, *flags, "-c", str(source), "-o", str(tmp_path / "loops.o")])
    vectorised = {
        int(line)
        for line in re.findall(r"loops\.c:(\d+):.*(?:loop vect|vectorized l)", done.stderr)
    }
    assert [name for i, name in enumerate(FLOAT_FUNCTIONS) if i + 3 not in vectorised] == []


INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
AWKWARD = ("NAN", "INFINITY", "-INFINITY", "1e30f", "-1e30f", "-0.5f", "255.9f", "-3.7f")


@pytest.mark.parametrize("flags", [SANITIZERS, [*FAST, NATIVE]], ids=["sanitized", "native"])
@pytest.mark.parametrize("compiler", C_COMPILERS)
def test_conversions_to_integers_are_defined_everywhere(
    compiler: str, flags: list[str], tmp_path: Path
) -> None:
    """Each prints what the op's meaning in NumPy is; the sanitizer finds nothing undefined."""
    convert = OPS["to_integer"].reference
    lines, expected = [], []
    for name in INTEGERS:
        for suffix, real in (("f", "float"), ("", "double")):
            lines += [f"print((uint64_t)gradc_to_{name}{suffix}(({real}){x}));" for x in AWKWARD]
            values = [np.float32(x.rstrip("f")) for x in AWKWARD[3:]]
            values = [np.float32(np.nan), np.float32(np.inf), np.float32(-np.inf), *values]
            source = np.array(values, np.float32).astype(np.float32 if suffix else np.float64)
            expected += [int(v) % 2**64 for v in convert(source, dtype=np.dtype(name))]
    program = tmp_path / "convert.c"
    program.write_text(
        '#include "gradc_convert.h"\n#include <inttypes.h>\n#include <math.h>\n#include <stdio.h>\n'
        'static void print(uint64_t n) { printf("%" PRIu64 "\\n", n); }\n'
        "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n"
    )
    command = [found(compiler), *C11, *flags, "-I", str(RUNTIME), str(program)]
    check_run([*command, "-o", str(tmp_path / "convert"), "-lm"])
    printed = check_run([str(tmp_path / "convert")]).stdout.split()
    assert [int(line) for line in printed] == expected


# Random numbers


@pytest.fixture(scope="module")
def random_output(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What runtime_random.c prints, by the word its lines begin with."""
    compiler = next((c for c in C_COMPILERS if shutil.which(c)), C_COMPILERS[0])
    folder = tmp_path_factory.mktemp("random")
    grouped: dict[str, list[str]] = {}
    for line in run_program(compiler, [*C11, "-O2"], "runtime_random.c", folder):
        kind, value = line.split()
        grouped.setdefault(kind, []).append(value)
    return grouped


def numbers(output: dict[str, list[str]], kind: str) -> np.ndarray:
    bits = [int(text, 16) for text in output[kind]]
    single = kind.endswith("f")
    return np.array(bits, np.uint32 if single else np.uint64).view("f4" if single else "f8")


def philox(counter: int, key: int) -> list[int]:
    """Philox 4x32-10 as its paper has it, on Python integers."""
    c = [counter >> 32 * i & 0xFFFFFFFF for i in range(4)]
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            second >> 32 ^ c[1] ^ k[0],
            second & 0xFFFFFFFF,
            first >> 32 ^ c[3] ^ k[1],
            first & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def words(blocks: int) -> np.ndarray:
    """The first blocks of the stream that runtime_random.c draws from, one a row."""
    return np.array([philox(7 << 64 | i, 0x0123456789ABCDEF) for i in range(blocks)], np.uint64)


@pytest.mark.parametrize(("compiler", "flags"), builds())
def test_random_numbers_do_not_depend_on_the_build(
    compiler: str, flags: list[str], random_output: dict[str, list[str]], tmp_path: Path
) -> None:
    lines = run_program(compiler, flags, "runtime_random.c", tmp_path)
    expected = [f"{kind} {value}" for kind, values in random_output.items() for value in values]
    assert sorted(lines) == sorted(expected)


def test_philox_known_answers(random_output: dict[str, list[str]]) -> None:
    # kat_vectors of Random123: counter and key all zeros, all ones, digits of pi.
    assert random_output["philox"] == [
        "6627e8d5e169c58dbc57ac4c9b00dbd8",
        "408f276d41c83b0ea20bc7c66d5451fd",
        "d16cfe0994fdcceb5001e42024126ea1",
    ]


def test_uniform_numbers_are_the_leading_bits(random_output: dict[str, list[str]]) -> None:
    single, double = numbers(random_output, "uniformf"), numbers(random_output, "uniform")
    w = words(len(double))
    assert np.array_equal(single, ((w >> 8) / 2**24).astype(np.float32).ravel()[: len(single)])
    pairs = (w[:, 0::2] << 32 | w[:, 1::2]) >> 12
    assert np.array_equal(double, (pairs / 2**52).ravel()[: len(double)])


def box_muller(distance: int, direction: int) -> tuple[float, float]:
    """Both from 64 bits. The top two bits of the direction turn by quarters about the axes."""
    radius = math.sqrt(-2 * math.log(1 - (distance >> 12) / 2**52))
    within = ((direction << 2 & (1 << 64) - 1) >> 12) / 2**52 - 0.5
    angle = ((direction >> 62) + within) * math.pi / 2
    return radius * math.cos(angle), radius * math.sin(angle)


def test_normal_numbers_are_those_of_box_and_muller(random_output: dict[str, list[str]]) -> None:
    single, double = numbers(random_output, "normalf"), numbers(random_output, "normal")
    w = [[int(x) for x in row] for row in words(len(double))]
    singles = [
        z for a, b, c, d in w for z in box_muller(a << 32, b << 32) + box_muller(c << 32, d << 32)
    ]
    doubles = [z for a, b, c, d in w for z in box_muller(a << 32 | b, c << 32 | d)]
    np.testing.assert_allclose(single, singles[: len(single)], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(double, doubles[: len(double)], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("suffix", ["f", ""])
def test_fills_scale(random_output: dict[str, list[str]], suffix: str) -> None:
    uniform = numbers(random_output, f"scaled_uniform{suffix}").astype(np.float64)
    assert np.all((uniform >= np.float32(-0.3)) & (uniform < np.float32(0.7)))
    assert abs(uniform.mean() - 0.2) < 4 * math.sqrt(1 / 12 / len(uniform))
    normal = numbers(random_output, f"scaled_normal{suffix}").astype(np.float64)
    assert abs(normal.mean() + 0.3) < 4 * 0.7 / math.sqrt(len(normal))
    assert abs(normal.std() - 0.7) < 4 * 0.7 / math.sqrt(2 * len(normal))


def test_streams_differ(random_output: dict[str, list[str]]) -> None:
    # The scaled fill draws from the next stream.
    first = numbers(random_output, "uniform")
    second = numbers(random_output, "scaled_uniform") + 0.3
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(len(first))
