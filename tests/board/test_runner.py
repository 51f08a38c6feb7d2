"""The runner around a model that is written by hand, on this machine and under QEMU."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pilotfish.board import qemu
from pilotfish.board.toolchain import LIBC_CPU, Toolchain
from pilotfish.compiler.targets import load

FAKE = Path(__file__).with_name("fake_model.c")
RUNTIME = Path(qemu.__file__).parent / "runtime"
Run = Callable[..., "subprocess.CompletedProcess[str]"]

X = np.arange(6, dtype="<f4").reshape(2, 3)
K = np.array([10, -20], "<i8")
Y, Z, N = (X[0] + X[1]) / 2, X + K[:, None].astype("f4"), np.int64(-10)


def link(folder: Path, target_name: str, *flags: str) -> list[str]:
    """The program around the fake model, with its emulator's words at VLEN 256."""
    target = load(target_name)
    tools = Toolchain(replace(target, cpu=LIBC_CPU.get(target.triple, target.cpu)))
    objects = [tools.compile(FAKE, include=[RUNTIME], flags=flags)]
    objects += [tools.compile(c, include=[RUNTIME]) for c in sorted(RUNTIME.glob("*.c")) if c.stem != "pf_api"]
    program = folder / "fake.elf"
    tools.link(objects, program)
    return [*([] if target.native else qemu.find().command(target, 256)), str(program)]


def sanitized(folder: Path) -> list[str]:
    """The program for this machine with run-time checks of memory and arithmetic."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    program = folder / "fake"
    sources = [FAKE, *(c for c in RUNTIME.glob("*.c") if c.stem != "pf_api")]
    flags = ["-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{RUNTIME}"]
    command = ["gcc", *flags, "-Wall", "-Wextra", "-Werror", "-o", str(program), *map(str, sources)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot find" in built.stderr:
        pytest.skip("this gcc has no sanitizers")
    assert built.returncode == 0, built.stderr
    return [str(program)]


@pytest.fixture(scope="module", params=["host", "sanitized", "rv64gcv", "rv64gc"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp(request.param)
    return sanitized(folder) if request.param == "sanitized" else link(folder, request.param)


@pytest.fixture
def run(program: list[str], tmp_path: Path) -> Run:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "k.npy", K)

    def start(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    return start


def outputs(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: np.load(file) for file in sorted(folder.iterdir())}


def test_one_inference(run: Run, tmp_path: Path) -> None:
    done = run("--input", "x=x.npy", "--input=k:0=k.npy", "--output-dir", "out")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    got = outputs(tmp_path / "out")
    assert list(got) == ["n.npy", "y.npy", "z_1~1.npy"]
    np.testing.assert_array_equal(got["y.npy"], Y)
    np.testing.assert_array_equal(got["z_1~1.npy"], Z)
    assert got["n.npy"].shape == () and got["n.npy"].dtype == np.int64 and got["n.npy"] == N


def test_a_batch_runs_every_entry_and_stacks_the_outputs(run: Run, tmp_path: Path) -> None:
    xs = np.random.default_rng(1).standard_normal((5, 2, 3)).astype("f4")
    np.save(tmp_path / "xs.npy", xs)
    done = run("--input", "x=xs.npy", "--input", "k:0=k.npy", "--output-dir", "out", "--repeat", "2")
    assert done.returncode == 0, done.stderr
    got = outputs(tmp_path / "out")
    np.testing.assert_array_equal(got["y.npy"], (xs[:, 0] + xs[:, 1]) * np.float32(0.5))
    np.testing.assert_array_equal(got["z_1~1.npy"], xs + K[:, None].astype("f4"))
    np.testing.assert_array_equal(got["n.npy"], np.full(5, N))


def test_a_batch_of_one_keeps_its_dimension(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "xs.npy", X[None])
    assert run("--input", "x=xs.npy", "--input", "k:0=k.npy", "--output-dir", "out").returncode == 0
    assert outputs(tmp_path / "out")["y.npy"].shape == (1, 3)


def test_raw_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(X.tobytes() + (X * 2).tobytes())
    (tmp_path / "k.raw").write_bytes(K.tobytes())
    assert run("--input", "x=x.raw", "--input", "k:0=k.raw", "--output-dir", "out").returncode == 0
    np.testing.assert_array_equal(outputs(tmp_path / "out")["y.npy"], np.stack([Y, Y * 2]))


def splitmix64(seed: int, count: int) -> list[int]:
    """The generator of Steele, Lea and Flood, as Java's SplittableRandom has it."""
    numbers = []
    for i in range(1, count + 1):
        z = (seed + i * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        numbers.append(z ^ z >> 31)
    return numbers


def test_without_inputs_they_are_the_documented_pseudo_random_numbers(run: Run, tmp_path: Path) -> None:
    assert splitmix64(1234567, 1) == [6457827717110365317]  # a published value of the generator
    assert run("--output-dir", "out").returncode == 0
    x = np.array([(z >> 40) / 2**23 - 1 for z in splitmix64(0, 6)], "f4").reshape(2, 3)
    k = np.array([z >> 63 for z in splitmix64(1, 2)])
    got = outputs(tmp_path / "out")
    np.testing.assert_array_equal(got["z_1~1.npy"], x + k[:, None].astype("f4"))
    assert got["n.npy"] == k.sum()


def test_list(run: Run) -> None:
    assert run("--list").stdout.splitlines() == [
        "model\tfake",
        "input\tx\tf32\t2x3",
        "input\tk:0\ti64\t2",
        "output\ty\tf32\t3\ty.npy",
        "output\tz/1\tf32\t2x3\tz_1~1.npy",
        "output\tn\ti64\tscalar\tn.npy",
        "arena_bytes\t12",
        "weights_bytes\t64",
        "vlen_min\t0",
        "step\t0\trows|f32_sum__scalar",
        "step\t1\trest|other__scalar",
    ]


def test_profile_shows_times_on_real_machines_only(run: Run, program: list[str]) -> None:
    lines = run("--profile", "--repeat", "3").stdout.splitlines()
    if len(program) > 1:
        assert lines == ["time is not shown: this is an emulator (`pilotfish count` counts instructions)"]
        return
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert [row[0] for row in rows] == ["inference", "step", "step"]
    assert rows[0][1] == "3" and int(rows[0][2]) >= int(rows[0][3]) > 0
    assert [row[-1] for row in rows[1:]] == ["rows|f32_sum__scalar", "rest|other__scalar"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--frobnicate"], 2, "unknown option '--frobnicate'"),
        (["--repeat"], 2, "--repeat needs a value"),
        (["--repeat", "0"], 2, "from 1 up"),
        (["--repeat", "two"], 2, "--repeat cannot be two"),
        (["--repeat", "9" * 30], 2, "--repeat cannot be"),
        (["--input", "q=x.npy"], 4, "names no input of the model"),
        (["--input", "x.npy"], 4, "names no input of the model"),
        (["--input", "x=x.npy"], 4, "input 'k:0' is missing"),
        (["--input", "x=x.npy", "--input", "x=x.npy", "--input", "k:0=k.npy"], 4, "input 'x' is given twice"),
        (["--input", "x=none.npy", "--input", "k:0=k.npy"], 4, "cannot read none.npy: there is no such file"),
        (["--input", "x=.", "--input", "k:0=k.npy"], 4, "it is a folder"),
        (["--input", "x=/dev/zero", "--input", "k:0=k.npy"], 4, "not a regular file"),
        (["--input", "x=k.npy", "--input", "k:0=k.npy"], 4, "input 'x' is f32 2x3, but k.npy is i64 2"),
        (["--output-dir", "x.npy"], 8, "its path leads through a file"),
        (["--output-dir", "none/out"], 8, "cannot make the folder none/out"),
        (["--output-dir", "/dev/full/x"], 8, "cannot"),
        (["--output-dir", "o" * 5000], 8, "its name is too long"),
    ],
)
def test_bad_arguments_end_with_a_sentence(run: Run, arguments: list[str], status: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert words in done.stderr and done.stderr.count("fake: ") == 1 and done.stdout == ""


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new.ljust(len(old)), 1)


NPY = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".ljust(127) + b"\n"
GOOD = NPY + X.tobytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an .npy file"),
        (b"PK\x03\x04" + bytes(100), "is not an .npy file"),
        (GOOD[:6], "damaged .npy header"),
        (GOOD[:9], "damaged .npy header"),
        (GOOD[:100], "damaged .npy header"),
        (GOOD[:-1], "more or fewer bytes"),
        (GOOD + b"\0", "more or fewer bytes"),
        (GOOD[:6] + b"\x03" + GOOD[7:], "format version"),
        (changed(GOOD, b"'<f4'", b"'>f4'"), "big-endian"),
        (changed(GOOD, b"'<f4'", b"'<c8'"), "type that no model takes"),
        (changed(GOOD, b"'<f4'", b"'|O4'"), "type that no model takes"),
        (changed(GOOD, b"False", b"True"), "column-major"),
        (changed(GOOD, b"(2, 3)", b"(3, 2)"), "input 'x' is f32 2x3, but bad.npy is f32 3x2"),
        (changed(GOOD, b"(2, 3), ", b"(6,)"), "is f32 6 "),
        (changed(GOOD, b"(2, 3)", b"(2  3)"), "damaged .npy header"),
        (changed(GOOD, b"(2, 3)", b"(6)"), "damaged .npy header"),
        (changed(GOOD, b"(2, 3)", b"(-2,3)"), "damaged .npy header"),
        (changed(GOOD, b"(2, 3), }", b"(1,1,1,1,1,1,1,1,2,3)}"[:9]), "damaged .npy header"),
        (changed(NPY, b"(2, 3), }" + b" " * 40, b"(4294967296, 4294967296, 4294967296),}") + X.tobytes(), "more or"),
        (changed(NPY, b"(2, 3), }" + b" " * 40, b"(1,1,1,1,1,1,1,1,1,6), }") + X.tobytes(), "too many dimensions"),
        (changed(NPY, b"(2, 3), }" + b" " * 40, b"(99999999999999999999, 3), }") + X.tobytes(), "damaged"),
        (changed(GOOD, b"'shape'", b"'shapf'"), "damaged .npy header"),
        (changed(GOOD, b"'fortran_order': False, ", b"'descr': '<f4', "), "damaged .npy header"),
        (changed(GOOD, b"'fortran_order': False, ", b""), "damaged .npy header"),
        (changed(NPY, b"(2, 3), }", b"(0,2,3)}"), "is f32 0x2x3"),
    ],
)
def test_bad_npy_files_end_with_a_sentence(run: Run, tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.npy").write_bytes(content)
    done = run("--input", "x=bad.npy", "--input", "k:0=k.npy", "--output-dir", "out")
    assert done.returncode == 4
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_other_forms_of_good_npy_files(run: Run, tmp_path: Path) -> None:
    header = b'{"shape":(2,3),"fortran_order":False,"descr":"<f4"}'  # other order, quotes and spaces, unaligned data
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + X.tobytes())
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x02\x00" + (118).to_bytes(4, "little") + NPY[10:] + X.tobytes())
    for name in ("a.npy", "b.npy"):
        assert run("--input", f"x={name}", "--input", "k:0=k.npy", "--output-dir", "out").returncode == 0
        np.testing.assert_array_equal(outputs(tmp_path / "out")["y.npy"], Y)


def test_batches_of_different_length_are_refused(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "xs.npy", np.stack([X, X]))
    np.save(tmp_path / "ks.npy", np.stack([K, K, K]))
    done = run("--input", "x=xs.npy", "--input", "k:0=ks.npy")
    assert done.returncode == 4 and "differ in length" in done.stderr


def test_a_full_disk_leaves_the_old_file(run: Run, tmp_path: Path) -> None:
    assert run("--output-dir", "out").returncode == 0
    before = (tmp_path / "out" / "y.npy").read_bytes()
    (tmp_path / "out" / "y.npy.partial").symlink_to("/dev/full")
    done = run("--input", "x=x.npy", "--input", "k:0=k.npy", "--output-dir", "out")
    assert done.returncode == 8 and "no space left on the disk" in done.stderr
    assert (tmp_path / "out" / "y.npy").read_bytes() == before
    assert not (tmp_path / "out" / "y.npy.partial").is_symlink()


def test_an_interrupt_ends_the_program_with_130(program: list[str], tmp_path: Path) -> None:
    command = [*program, "--repeat", "99999999", "--output-dir", str(tmp_path / "out")]
    running = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(0.3)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(10) == 130
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cpu", "least", "words"),
    [
        ("rv64,v=false", 128, "needs vector registers (RVV 1.0) of 128 bits or more, and this machine has none"),
        ("rv64,v=true,vlen=128", 256, "of 256 bits or more, and this machine's have 128"),
        ("rv64,v=true,vlen=256", 256, ""),
        ("rv64,v=true,vlen=1024", 128, ""),
        ("rv64,v=false", 0, ""),
    ],
)
def test_the_machine_is_checked_first(tmp_path: Path, cpu: str, least: int, words: str) -> None:
    program = link(tmp_path, "rv64gcv", f"-DVLEN_MIN={least}")[-1]
    command = [*qemu.find().start, "-cpu", cpu, program, "--output-dir", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (6 if words else 0)
    assert words in done.stderr and (tmp_path / "out").exists() == (not words)


def test_an_unknown_instruction_ends_the_program_in_words(tmp_path: Path) -> None:
    done = subprocess.run(link(tmp_path, "rv64gcv", "-DILLEGAL"), capture_output=True, text=True, check=False)
    assert done.returncode == 6 and "does not know an instruction" in done.stderr


def test_the_program_is_small(tmp_path: Path) -> None:
    assert Path(link(tmp_path, "rv64gcv")[-1]).stat().st_size < 40 << 10
