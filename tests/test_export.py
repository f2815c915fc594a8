"""What a step exports is what it has learnt: parameters as C constants and as a file."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepping import BATCH, ORDER, Net, X, Y, loss, make
from test_c_program import C11, LANGUAGES, TESTS, compile_program

import gradc as gd
from gradc import nn, optim
from gradc.emit.expressions import literals
from gradc.errors import ArgumentError, ShapeError

SPECIAL = [0.0, -0.0, 1e-45, -1.1754944e-38, 3.4028235e38, 1e16, 0.1, np.inf, -np.inf, np.nan]


@pytest.fixture(scope="module")
def trained() -> Any:
    """A step that has learnt something."""
    step = make()
    for rows in ORDER:
        step(X[rows], Y[rows])
    return step


@pytest.fixture(scope="module", params=["portable", "avx2"])
def folder(trained: Any, request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that was exported for a target."""
    place: Path = tmp_path_factory.mktemp(request.param)
    for form in ("c", "bin"):
        trained.export(place, parameters_format=form, target=request.param)
    X[:BATCH].tofile(place / "inputs.raw")
    (place / "parameters_net.c").write_text((TESTS / "c" / "parameters_net.c").read_text())
    return place


def vectors(folder: Path) -> list[str]:
    """The flags that the C in a folder needs; the test is skipped if this machine lacks them."""
    if "avx2" not in folder.name:
        return []
    known = Path("/proc/cpuinfo")
    words = known.read_text().split() if known.exists() else []
    if not {"avx2", "fma"} <= set(words):
        pytest.skip("needs AVX2")
    return ["-mavx2", "-mfma"]


@pytest.mark.parametrize(("command", "language"), LANGUAGES)
def test_constants_and_file_predict_what_the_step_predicts(trained, folder, command, language):
    flags = [*language, "-O1", *vectors(folder)]
    sources = "parameters_net.c", "net.c", "net_parameters.c"
    program = compile_program(command, flags, folder, *sources)
    files = folder / "net_parameters.bin", folder / "inputs.raw"
    done = subprocess.run([program, *files], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    numbers = np.frombuffer(done.stdout, np.float32)
    logits = BATCH * 5
    expected = trained.predict(X[:BATCH]).ravel()
    np.testing.assert_allclose(numbers[:logits], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(numbers[:logits], numbers[logits : 2 * logits])
    if "fc1_weight[24 * 12]" in (folder / "net.h").read_text():
        kept = numbers[2 * logits :][: 24 * 12].reshape(24, 12)
    else:
        kept = numbers[2 * logits :][: 24 * 12].reshape(12, 24).T
    np.testing.assert_array_equal(kept, trained.params["fc1.weight"])


def test_initial_parameters_are_those_of_the_definition(trained, tmp_path):
    fresh = make()
    trained.export(tmp_path / "initial", parameters="initial")
    trained.export(tmp_path / "current")
    fresh.export(tmp_path / "fresh")
    texts = [(tmp_path / f / "net_parameters.c").read_text() for f in ("initial", "fresh")]
    assert texts[0] == texts[1]
    assert texts[0] != (tmp_path / "current" / "net_parameters.c").read_text()


def test_none_exports_the_program_alone(trained, tmp_path):
    names = {p.name for p in trained.export(tmp_path, parameters="none")}
    assert not any("parameters" in name for name in names)


def test_one_file_suits_every_target_and_batch(trained, tmp_path):
    found = set()
    for k, options in enumerate([{}, {"target": "portable"}, {"target": "avx2", "batch": 1}]):
        trained.export(tmp_path / str(k), parameters_format="bin", **options)
        found.add((tmp_path / str(k) / "net_parameters.bin").read_bytes())
        text = (tmp_path / str(k) / "net.h").read_text()
        assert ("x f32[1, 12]" in text) == (options.get("batch") == 1)
    assert len(found) == 1


def test_a_file_belongs_to_one_model(trained, tmp_path):
    """The first eight bytes tell models apart by name, parameters' names and shapes."""
    optimizer = optim.SGD(lr=0.1)
    specs = gd.f32[BATCH, 12], gd.i32[BATCH]
    others = [
        gd.train_step(loss, Net(), optimizer, *specs, name="other"),
        gd.train_step(loss, Net(hidden=25), optimizer, *specs, name="net"),
    ]
    identities = set()
    for k, step in enumerate([trained, *others]):
        step.export(tmp_path / str(k), parameters_format="bin")
        identities.add((tmp_path / str(k) / f"{step.name}_parameters.bin").read_bytes()[:8])
    assert len(identities) == 3


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"parameters": "best"}, ArgumentError, "unknown `parameters` 'best'"),
        ({"parameters_format": "npz"}, ArgumentError, "unknown `parameters_format` 'npz'"),
        ({"target": "pdp11"}, ArgumentError, "unknown target 'pdp11'"),
        ({"batch": 0}, ArgumentError, "at least one"),
    ],
)
def test_options_that_mean_nothing_write_nothing(trained, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        trained.export(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_loss_without_a_batch_cannot_be_exported_for_another(tmp_path):
    def scalar(p: Any, a: Any, b: Any) -> Any:
        return ((p["w"] * a).sum() - b.sum()) ** 2

    w = {"w": np.ones(3, np.float32)}
    step = gd.train_step(scalar, w, optim.SGD(lr=0.1), gd.f32[3], gd.f32[2])
    with pytest.raises(ShapeError, match="no leading axis"):
        step.export(tmp_path, batch=4)


def test_a_step_out_of_a_pickle_exports_what_it_holds(trained, tmp_path):
    loaded = pickle.loads(pickle.dumps(trained))
    trained.export(tmp_path / "a")
    loaded.export(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    with pytest.raises(ArgumentError, match="compiled for the target 'sse'"):
        loaded.export(tmp_path / "c", target="sse")


def test_parameters_that_are_scalars_empty_or_not_finite_read_back(tmp_path):
    """Each bit of an odd collection of parameters comes back from the constants and the file."""
    wide = np.array([0.1, 1e300, -5e-324, np.inf])
    p = {
        "special": np.array(SPECIAL, np.float32),
        "wide": wide,
        "scale": np.float32(0.1) * np.ones((), np.float32),
        "count": np.array([-(2**31), 2**31 - 1], np.int32),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }

    def odd(p: Any, x: Any) -> Any:
        return (p["special"].sum() + p["scale"] + p["empty"].sum()) * x.sum() + p["wide"].sum()

    step = gd.train_step(odd, p, optim.SGD(lr=0.1), gd.f32[2], name="odd")
    for form in ("c", "bin"):
        step.export(tmp_path, parameters_format=form, target="portable")
    size = (tmp_path / "odd_parameters.bin").stat().st_size
    (tmp_path / "main.c").write_text(f"""
#include "odd_parameters.h"
#include <stdio.h>
#include <string.h>
static odd_params loaded;
static unsigned char bytes[{size}];
static int same(const void *a, const void *b, size_t n) {{ return memcmp(a, b, n) == 0; }}
int main(int argc, char **argv)
{{
    FILE *const file = fopen(argv[argc - 1], "rb");
    if (file == NULL || fread(bytes, 1, sizeof bytes, file) != sizeof bytes) {{ return 2; }}
    fclose(file);
    if (odd_load(&loaded, bytes, sizeof bytes) != ODD_OK) {{ return 3; }}
    const odd_params *const c = &odd_parameters;
    return same(c->special, loaded.special, sizeof c->special - 4) && c->special[9] != c->special[9]
        && same(c->wide, loaded.wide, sizeof c->wide) && c->scale == loaded.scale
        && same(c->count, loaded.count, sizeof c->count)
        && same(c->flags, loaded.flags, sizeof c->flags) ? 0 : 1;
}}
""")
    program = compile_program("gcc", C11, tmp_path, "main.c", "odd.c", "odd_parameters.c")
    file = tmp_path / "odd_parameters.bin"
    assert subprocess.run([program, file], timeout=60).returncode == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_literals_read_back_bit_for_bit(dtype):
    rng = np.random.default_rng(0)
    whole = np.uint32 if dtype is np.float32 else np.uint64
    bits = rng.integers(0, np.iinfo(whole).max, 3000, whole).view(dtype)
    numbers = np.concatenate([bits[np.isfinite(bits)], np.array(SPECIAL[:7], dtype)])
    texts = literals(numbers, np.dtype(dtype))
    assert all("." in t or "e" in t for t in texts)
    back = np.array([t.removesuffix("f") for t in texts], dtype)
    np.testing.assert_array_equal(back.view(whole), numbers.view(whole))


class Wide(nn.Module):
    """Layers whose weights targets store in different ways."""

    def __init__(self) -> None:
        self.fc1 = nn.Linear(40, 64)
        self.fc2 = nn.Linear(64, 10)

    def __call__(self, x: Any) -> Any:
        return self.fc2(nn.relu(self.fc1(x)))


def test_one_seed_gives_the_same_weights_on_every_target_and_batch(tmp_path):
    specs = gd.f32[32, 40], gd.i32[32]
    step = gd.train_step(loss, Wide(), optim.SGD(lr=0.1), *specs, name="wide")
    drawn, stored = [], set()
    for k, options in enumerate(
        [{"target": t, "batch": b} for t in ("portable", "avx2", "avx512") for b in (1, 32)]
    ):
        core = step._core_for(**options)
        place = tmp_path / str(k)
        core.export(place)
        (place / "main.c").write_text(
            '#include "wide.h"\n#include <stdio.h>\nstatic wide_state state;\n'
            "int main(void)\n{\n    wide_init(&state, 7);\n"
            "    return fwrite(&state, 1, sizeof state, stdout) != sizeof state;\n}\n"
        )
        text = core.source
        top = text[text.index("enum {") :]
        extents, _, rest = top.partition("\n\n")
        init = text[text.index("void wide_init(") :].partition("\n}\n")[0]
        init = f"{extents}\n{rest.partition(chr(10) * 2)[0]}\n{init}\n}}\n"
        (place / "init.c").write_text(
            '#include "wide.h"\n#include <assert.h>\n#include <string.h>\n'
            f'#include "gradc_base.h"\n#include "gradc_random.h"\n{init}'
        )
        program = compile_program("gcc", [*C11, "-O1"], place, "main.c", "init.c")
        memory = subprocess.run([program], capture_output=True, check=True).stdout
        layout = core.compiled.interface.layout
        assert layout is not None
        stored.add(tuple(m.swapped for m in layout.members))
        for m in layout.members:
            flat = np.frombuffer(memory, m.dtype, m.size, m.offset).reshape(m.stored_shape)
            drawn.append((m.path, (flat.T if m.swapped else flat).tobytes()))
    assert len({path for path, _ in drawn}) == len(set(drawn))
    assert len(stored) > 1, "the targets store these weights alike: the test shows nothing"
