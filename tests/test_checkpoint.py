"""Checkpoints: what goes in comes out, whole or not at all, and what is wrong is said by name."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradc.dtypes import ALL, Spec, f32
from gradc.errors import CheckpointError
from gradc.train import checkpoint
from gradc.train.checkpoint import load, match, save

TENSORS: dict[str, Any] = {
    "params.fc1.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "step": np.array(2**63 + 5, np.uint64),
    "seed": np.array(7, np.uint64),
    "nothing": np.zeros((0, 5), np.int16),
    "flag": np.array(True),
}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        (a[n].dtype, a[n].shape) == (b[n].dtype, b[n].shape) and a[n].tobytes() == b[n].tobytes()
        for n in a
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "m.safetensors"
    save(path, TENSORS, {"epoch": "3", "note": "ü ✓"})
    tensors, metadata = load(path)
    assert same(tensors, TENSORS)
    assert metadata == {"epoch": "3", "note": "ü ✓"}
    assert [p.name for p in path.parent.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("dtype", [t.dtype for t in ALL], ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3)], ids=str)
def test_every_dtype_and_shape(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    save(tmp_path / "m", {"a": array})
    assert same(load(tmp_path / "m")[0], {"a": array})


def test_arrays_that_do_not_lie_in_order(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    arrays = {"t": base.T, "s": base[::2, 1::2], "r": base[::-1], "b": base.astype(">f4")}
    save(tmp_path / "m", arrays)
    loaded, _ = load(tmp_path / "m")
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=5))
def test_any_text_is_metadata(metadata: dict[str, str]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        save(Path(folder, "m"), {"a": np.ones(3, np.float32)}, metadata)
        tensors, found = load(Path(folder, "m"))
    assert found == metadata
    assert tensors["a"].tolist() == [1, 1, 1]


def test_equal_content_is_equal_bytes_in_any_process(tmp_path: Path) -> None:
    """The library writes metadata in the order of a hash table that is seeded anew each time."""
    script = textwrap.dedent("""
        import sys, numpy as np
        from gradc.train.checkpoint import save
        tensors = {n: np.ones(3, np.float32) for n in sys.argv[2]}
        save(sys.argv[1], tensors, {n: n for n in sys.argv[2]})
    """)
    for name, order in (("1", "abcdefgh"), ("2", "hgfedcba")):
        subprocess.run(
            [sys.executable, "-c", script, tmp_path / name, order], check=True, timeout=60
        )
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.numpy import load_file

    save(tmp_path / "m", TENSORS, {"k": "v"})
    with safe_open(str(tmp_path / "m"), "numpy") as file:
        assert file.metadata()["k"] == "v"
        assert set(file.keys()) == set(TENSORS)
    assert same(load_file(tmp_path / "m"), TENSORS)


# What is wrong with a file --------------------------------------------------------------------


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save(path, TENSORS, {"epoch": "3"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="not a whole safetensors file"):
            load(path)


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Length, header, metadata, checksum, padding, data: each bit of the file, one at a time."""
    path = tmp_path / "m"
    save(path, {"a": np.arange(4, dtype=np.float32)}, {"epoch": "3", "note": "ü"})
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"not a whole|not what was written"):
            load(path)


def test_numbers_that_were_exchanged_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save(path, {"a": np.array([1, 2], np.float32)})
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + whole[-4:] + whole[-8:-4])
    with pytest.raises(CheckpointError, match="checksum is of other content"):
        load(path)


@pytest.mark.parametrize("lost", ["gradc.sha256", "gradc.format"])
def test_a_file_that_lost_its_checksum_is_not_taken_for_a_foreign_one(
    tmp_path: Path, lost: str
) -> None:
    from safetensors.numpy import save_file

    own = {"gradc.format": "1", "gradc.sha256": "0" * 64}
    metadata = {name: value for name, value in own.items() if name != lost}
    save_file({"a": np.ones(3, np.float32)}, tmp_path / "m", metadata)
    with pytest.raises(CheckpointError, match="not what was written"):
        load(tmp_path / "m")


def test_a_file_of_another_program_needs_no_checksum(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(TENSORS, tmp_path / "m", {"format": "np"})
    tensors, metadata = load(tmp_path / "m")
    assert same(tensors, TENSORS)
    assert metadata == {"format": "np"}


FOREIGN = {
    "empty": b"",
    "zeros": bytes(64),
    "text": b"hello, world, this is not a checkpoint at all",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94",
    "zip": b"PK\x03\x04" + bytes(60),
    "bfloat16": b'8\0\0\0\0\0\0\0{"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}\0\0',
    "no-json": b"\x08\0\0\0\0\0\0\0{{{{{{{{",
    "deep": (100_000).to_bytes(8, "little") + b"[" * 100_000,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "m").write_bytes(FOREIGN[kind])
    with pytest.raises(CheckpointError, match="safetensors") as caught:
        load(tmp_path / "m")
    assert str(tmp_path / "m") in str(caught.value)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match="cannot read"):
        load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
@pytest.mark.parametrize("kind", ["pipe", "endless device", "loop of links"])
def test_what_never_ends_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "endless device" else path)
    with pytest.raises(CheckpointError, match="cannot read"):
        load(path)


@pytest.mark.skipif(os.name != "posix", reason="other systems allow fewer names")
@pytest.mark.parametrize("name", ["two\nlines", "für 木.safetensors", "[a]*?", "-o", "' \""])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, TENSORS, {"epoch": "3"})
    assert same(load(tmp_path / name)[0], TENSORS)
    assert [p.name for p in tmp_path.iterdir()] == [name]


# What does not fit ----------------------------------------------------------------------------

EXPECTED = {"w": Spec((3, 4), f32.dtype), "b": Spec((4,), f32.dtype)}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"w": np.zeros((3, 4), "f4")}, "`b` is missing, `net` has it as f32[4]"),
        (
            {"w": np.zeros((3, 5), "f4"), "b": np.zeros(4, "f4")},
            "`w` is f32[3, 5] in the file, f32[3, 4] in `net`",
        ),
        (
            {"w": np.zeros((3, 4), "f8"), "b": np.zeros(4, "f4")},
            "`w` is f64[3, 4] in the file, f32[3, 4] in `net`",
        ),
        (
            {"w": np.zeros((3, 4), "f4"), "b": np.zeros(4, "f4"), "c": np.zeros(2, "i4")},
            "`c` i32[2] is unexpected, `net` has no such tensor",
        ),
    ],
    ids=["missing", "shape", "dtype", "unexpected"],
)
def test_a_mismatch_names_the_tensor_and_both_shapes(tensors: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        match(tensors, EXPECTED, "m.safetensors", "net")
    assert message in str(caught.value)
    assert "m.safetensors" in str(caught.value)


def test_of_many_mismatches_the_first_are_shown() -> None:
    tensors = {f"t{i}": np.zeros(i, np.float32) for i in range(10)}
    with pytest.raises(CheckpointError, match="and 9 tensors more"):
        match(tensors, EXPECTED, "m", "net")


def test_what_fits_passes() -> None:
    tensors = {name: np.zeros(spec.shape, spec.dtype) for name, spec in EXPECTED.items()}
    assert match(tensors, EXPECTED, "m", "net") is None


# Writing goes wrong ---------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a checkpoint in it."""
    save(tmp_path / "m", TENSORS, {"epoch": "1"})
    return tmp_path


def assert_untouched(folder: Path) -> None:
    tensors, metadata = load(folder / "m")
    assert same(tensors, TENSORS)
    assert metadata == {"epoch": "1"}
    assert [p.name for p in folder.iterdir()] == ["m"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before(
    saved: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.os, function, full)
        with pytest.raises(CheckpointError, match="no space left on device"):
            save(saved / "m", {"a": np.zeros(3, np.float32)})
    assert_untouched(saved)


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX's")
def test_a_real_limit_on_the_size_of_files(saved: Path) -> None:
    script = textwrap.dedent("""
        import resource, sys, numpy as np
        from gradc.errors import CheckpointError
        from gradc.train.checkpoint import save
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        try:
            save(sys.argv[1], {"a": np.zeros(100_000, np.float32)})
        except CheckpointError as error:
            print(error.diagnostic.message)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, saved / "m"], capture_output=True, text=True, check=True
    )
    assert "file too large" in done.stdout
    assert_untouched(saved)


def test_an_interrupt_while_writing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save(saved / "m", {"a": np.zeros(3, np.float32)})
    assert_untouched(saved)


@pytest.mark.skipif(os.name != "posix", reason="kills are POSIX's")
def test_a_kill_while_writing_leaves_the_checkpoint_before(saved: Path) -> None:
    script = textwrap.dedent("""
        import os, signal, sys, numpy as np
        from gradc.train import checkpoint
        checkpoint.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        checkpoint.save(sys.argv[1], {"a": np.zeros(3, np.float32)})
    """)
    done = subprocess.run([sys.executable, "-c", script, saved / "m"], timeout=60)
    assert done.returncode == -signal.SIGKILL
    left = sorted(p.name for p in saved.iterdir())
    assert len(left) == 2  # the draft could not be removed by the dead
    (saved / left[0]).rename(saved / "aside")  # out of the way of the assertion below
    assert_untouched_but(saved, "aside")
    (saved / "aside").rename(saved / left[0])
    save(saved / "m", TENSORS, {"epoch": "1"})  # the next writer clears up
    assert_untouched(saved)


def assert_untouched_but(folder: Path, name: str) -> None:
    assert same(load(folder / "m")[0], TENSORS)
    assert sorted(p.name for p in folder.iterdir()) == sorted([name, "m"])


@pytest.mark.skipif(os.name != "posix", reason="processes are asked after on POSIX only")
def test_drafts_of_the_living_and_of_other_machines_stay(saved: Path) -> None:
    mine = f".m.{checkpoint.socket.gethostname()}-{os.getppid()}.draft"
    others = ".m.elsewhere-999999999.draft"
    for name in (mine, others):
        (saved / name).write_bytes(b"at work")
    save(saved / "m", TENSORS, {"epoch": "2"})
    assert sorted(p.name for p in saved.iterdir()) == sorted([mine, others, "m"])


def test_a_folder_where_the_file_should_be(saved: Path) -> None:
    (saved / "folder.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="cannot write"):
        save(saved / "folder.safetensors", TENSORS)
    assert sorted(p.name for p in saved.iterdir()) == ["folder.safetensors", "m"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_draft_is_not_written_through_a_link(saved: Path) -> None:
    victim = saved / "victim"
    victim.write_text("precious")
    host = checkpoint.socket.gethostname()
    (saved / f".m.{host}-{os.getpid()}.draft").symlink_to(victim)
    save(saved / "m", TENSORS, {"epoch": "1"})
    assert victim.read_text() == "precious"
    victim.unlink()
    assert_untouched(saved)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot write"):
        save(tmp_path / "file" / "m", TENSORS)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_link_stays_a_link(saved: Path) -> None:
    os.symlink(saved / "m", saved / "latest")
    save(saved / "latest", {"a": np.zeros(3, np.float32)})
    assert (saved / "latest").is_symlink()
    assert list(load(saved / "m")[0]) == ["a"]
