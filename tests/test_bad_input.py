"""Whatever is wrong with what a user gives: a sentence, an exit status, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import ziglang
from onnx import TensorProto, helper, numpy_helper

import pilotfish
from conftest import Command, Compiled, dense_model
from pilotfish import errors
from pilotfish.bundle import fingerprint


def spawned(*words: object, env: Mapping[str, str] | None = None, **how: object) -> subprocess.Popen[str]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "pilotfish.cli.main", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how}
    return subprocess.Popen(command, env={**os.environ, **(env or {})}, **pipes)  # type: ignore[call-overload, no-any-return]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# What is not a model


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model", b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(1000), os.urandom(1000), b"PK\x03\x04" + bytes(50)],
    ids=["empty", "text", "image", "zeros", "noise", "zip"],
)
def test_a_file_that_is_not_onnx(tmp_path: Path, content: bytes, pilot: Command) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    assert said.status == 3
    assert "m.onnx is not" in said.err
    assert names(tmp_path) == ["m.onnx"]
    with pytest.raises(errors.NotAModelError):
        pilotfish.compile(tmp_path / "m.onnx")


def test_a_truncated_file(tmp_path: Path) -> None:
    content = dense_model().SerializeToString()
    for length in range(len(content)):
        (tmp_path / "m.onnx").write_bytes(content[:length])
        with pytest.raises(errors.NotAModelError):
            pilotfish.compile(tmp_path / "m.onnx", output=tmp_path / "out")
    assert names(tmp_path) == ["m.onnx"]


def test_a_file_that_is_not_there(tmp_path: Path, pilot: Command) -> None:
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    assert (said.status, names(tmp_path)) == (8, [])
    assert "no such file" in said.err
    assert pilot("compile", tmp_path, "-o", tmp_path / "out").status == 8


def test_external_data_that_is_not_there(tmp_path: Path, pilot: Command) -> None:
    onnx.save(dense_model(), tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").unlink()
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    assert said.status in (3, 8)
    assert "m.data" in said.err
    assert names(tmp_path) == ["m.onnx"]


def test_external_data_outside_of_the_folder_is_not_read(tmp_path: Path, pilot: Command) -> None:
    (tmp_path / "secret").write_bytes(bytes(96))
    (tmp_path / "in").mkdir()
    model = dense_model()
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../secret")
    (tmp_path / "in" / "m.onnx").write_bytes(model.SerializeToString())
    assert pilot("compile", tmp_path / "in" / "m.onnx", "-o", tmp_path / "out").status == 3
    assert names(tmp_path) == ["in", "secret"]


# Models that cannot be compiled


def model_of(*nodes: onnx.NodeProto, shape: tuple[int | str, ...] = (1, 8)) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "m",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "columns"])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme.ai", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_unsupported_operators_are_all_listed_with_counts(tmp_path: Path, pilot: Command) -> None:
    model = model_of(
        helper.make_node("RandomUniformLike", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["x"], ["r"], name="fine"),
        helper.make_node("Warp", ["r"], ["b"], name="warp", domain="acme.ai"),
        helper.make_node("RandomUniformLike", ["r"], ["c"], name="second"),
        helper.make_node("Warp", ["b"], ["y"], name="warp_again", domain="acme.ai"),
        helper.make_node("RandomUniformLike", ["b"], ["d"], name="third"),
    )
    onnx.save(model, tmp_path / "m.onnx")
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    assert said.status == 3
    assert "RandomUniformLike: 3 nodes: first, second, third" in said.err
    assert "acme.ai.Warp: 2 nodes: warp, warp_again" in said.err
    assert "Relu" not in said.err
    assert names(tmp_path) == ["m.onnx"]
    with pytest.raises(errors.UnsupportedOperatorsError) as raised:
        pilotfish.compile(model)
    assert raised.value.nodes_by_operator["RandomUniformLike"] == ("first", "second", "third")


def test_unsupported_operators_are_listed_also_behind_a_shape_that_nobody_knows() -> None:
    model = model_of(
        helper.make_node("NonZero", ["x"], ["n"], name="where"),
        helper.make_node("Cast", ["n"], ["f"], name="floats", to=TensorProto.FLOAT),
        helper.make_node("Warp", ["f"], ["w"], name="warp", domain="acme.ai"),
        helper.make_node("Warp", ["x"], ["y"], name="warp_again", domain="acme.ai"),
    )
    with pytest.raises(errors.UnsupportedOperatorsError) as raised:
        pilotfish.compile(model)
    assert raised.value.nodes_by_operator == {"acme.ai.Warp": ("warp", "warp_again")}
    del model.graph.node[2:]
    model.graph.output[0].name = "f"
    with pytest.raises(errors.OperatorError, match=r"'where' \(NonZero\): the shape of 'n' depends on run-time values"):
        pilotfish.compile(model)


def test_a_free_dimension_must_be_bound(tmp_path: Path, pilot: Command) -> None:
    onnx.save(dense_model("batch"), tmp_path / "m.onnx")
    compile_ = ("compile", tmp_path / "m.onnx", "-o", tmp_path / "out", "--target", "host")
    said = pilot(*compile_)
    assert said.status == 3
    assert "x is batchx8: bind it with --shape x=1x8" in said.err
    assert names(tmp_path) == ["m.onnx"]
    for wrong in ("x=2x9", "x=2", "z=2x8", "x=0x8", "x=axb", "2x8"):
        said = pilot(*compile_, "--shape", wrong)
        assert said.status == 2, wrong
    assert names(tmp_path) == ["m.onnx"]
    assert pilot(*compile_, "--shape", "x=2x8").status == 0


def test_shapes_that_do_not_fit_name_the_node(tmp_path: Path, pilot: Command) -> None:
    weights = numpy_helper.from_array(np.ones((9, 3), np.float32), "w")
    model = model_of(helper.make_node("MatMul", ["x", "w"], ["y"], name="product"))
    model.graph.initializer.append(weights)
    onnx.save(model, tmp_path / "m.onnx")
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    assert said.status == 3
    assert "'product' (MatMul)" in said.err
    assert "x: float32[1x8], w: float32[9x3]" in said.err


# Options


def test_an_unknown_target(dense_file: Path, tmp_path: Path, pilot: Command) -> None:
    said = pilot("compile", dense_file, "-o", tmp_path / "out", "--target", "sifive-x281")
    assert said.status == 2
    assert "unknown target 'sifive-x281'; known targets: host, rv64gc, rv64gcv, sifive-p670" in said.err
    assert names(tmp_path) == ["dense.onnx"]
    with pytest.raises(errors.UnknownTargetError):
        pilotfish.compile(dense_model(), target="x")


@pytest.mark.parametrize(
    "words",
    [
        ("--mcpu", "pentium"),
        ("--mattr", "+warp"),
        ("--mattr", "zba"),
        ("--vlen", "100"),
        ("--vlen", "many"),
        ("--name", "a b"),
        ("--target", "rv64gc", "--vlen", "256"),
        ("--target", "rv64gc", "--mcpu", "sifive_x280"),
        ("--mcpu", "sifive_u74"),
        ("--frobnicate",),
    ],
    ids=" ".join,
)
def test_options_that_cannot_be(dense_file: Path, tmp_path: Path, pilot: Command, words: tuple[str, ...]) -> None:
    assert pilot("compile", dense_file, "-o", tmp_path / "out", *words).status == 2
    assert names(tmp_path) == ["dense.onnx"]


def test_other_things_are_not_overwritten(dense_file: Path, tmp_path: Path, pilot: Command) -> None:
    assert pilot("compile", dense_file, "-o", tmp_path).status == 2
    assert pilot("compile", dense_file, "-o", dense_file).status == 2
    assert names(tmp_path) == ["dense.onnx"]


# Inputs at run time


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 9), np.float32), "'x' is float32[1x9], expected x: float32[1x8]"),
        (np.zeros((1, 8), np.float64), "'x' is float64[1x8], expected dtype float32"),
        (np.zeros((1, 8), np.int8), "'x' is int8[1x8], expected dtype float32"),
        (np.zeros((0, 1, 8), np.float32), "'x' is float32[0x1x8], expected"),
    ],
)
def test_a_wrong_input(compiled: Compiled, tmp_path: Path, pilot: Command, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "x.npy", array)
    output = tmp_path / "y.npy"
    said = pilot("run", compiled("dense", "host"), "-i", tmp_path / "x.npy", "-o", output)
    assert said.status == 4
    assert words in said.err
    assert not output.exists()
    assert pilot("verify", compiled("dense", "host"), "-i", tmp_path / "x.npy").status == 4
    with pytest.raises(errors.InputError):
        pilotfish.Bundle.open(compiled("dense", "host")).run({"x": array})


def test_a_wrong_or_missing_name(compiled: Compiled, tmp_path: Path, pilot: Command) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 5), np.float32))
    bundle, file = compiled("pair", "host"), tmp_path / "x.npy"
    said = pilot("run", bundle, "-i", f"left={file}")
    assert said.status == 4
    assert "input 'right' is missing: expected left: float32[2x5]; right: float32[2x5]" in said.err
    said = pilot("run", bundle, "-i", f"centre={file}")
    assert said.status == 2
    assert "the names are left, right" in said.err
    assert pilot("run", bundle, "-i", file).status == 2
    assert pilot("run", bundle, "-i", f"left={file}", "-i", f"left={file}").status == 2
    assert pilot("run", bundle, "-i", f"left={file}", "-i", f"right={file}", "-o", f"quotient={file}").status == 2
    with pytest.raises(errors.InputError, match="no input is called 'centre'"):
        pilotfish.Bundle.open(bundle).run({"centre": np.zeros((2, 5), np.float32)})


def test_an_input_file_that_is_not_there(compiled: Compiled, tmp_path: Path, pilot: Command) -> None:
    assert pilot("run", compiled("dense", "host"), "-i", tmp_path / "x.npy").status == 8
    assert pilot("run", compiled("dense", "host"), "-i", "/dev/zero").status == 4


# Machines


def test_a_vlen_that_is_too_small_is_refused_in_words(dense_file: Path, tmp_path: Path, pilot: Command) -> None:
    out = tmp_path / "out"
    assert pilot("compile", dense_file, "-o", out, "--mattr", "+zvl256b").status == 0
    np.save(tmp_path / "x.npy", np.ones((1, 8), np.float32))
    run = ("run", out, "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    said = pilot(*run, "--vlen", 128)
    assert said.status == 6
    assert "256" in said.err
    assert "128" in said.err
    assert not (tmp_path / "y.npy").exists()
    assert pilot("verify", out, "--vlen", 128).status == 6
    assert pilot("count", out, "--vlen", 128).status == 6
    assert pilot(*run, "--vlen", 256).status == 0
    assert pilot("verify", out, "--vlen", 1024).status == 0


@pytest.mark.parametrize("vlen", [0, 64, 100, 384, 2048])
def test_a_vlen_that_qemu_has_not(compiled: Compiled, pilot: Command, vlen: int) -> None:
    assert pilot("verify", compiled("dense", "rv64gcv"), "--vlen", vlen).status == 2


def test_a_vlen_for_a_program_without_vectors(compiled: Compiled, pilot: Command) -> None:
    for target in ("host", "rv64gc"):
        for command in ("verify", "count"):
            assert pilot(command, compiled("dense", target), "--vlen", 128).status == 2


def test_a_native_program_is_not_counted(compiled: Compiled, pilot: Command) -> None:
    said = pilot("count", compiled("dense", "host"))
    assert said.status == 2
    assert "RISC-V targets only" in said.err


@pytest.mark.parametrize("apt", [False, True], ids=["no apt", "apt offline"])
def test_no_qemu(compiled: Compiled, tmp_path: Path, apt: bool) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("apt-get", "dpkg-deb", "dpkg") if apt else ():
        if not (found := shutil.which(tool)):
            pytest.skip(f"this machine has no {tool}")
        (tools / tool).symlink_to(found)
    env = {
        "PATH": str(tools),
        "PILOTFISH_CACHE": str(tmp_path / "cache"),
        "PILOTFISH_QEMU": "",
        "PILOTFISH_APT_MIRROR": "http://127.0.0.1:9/debian",  # the discard port: nobody listens
        "http_proxy": "",
    }
    process = spawned("verify", compiled("dense", "rv64gcv"), env=env)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 5
    assert "qemu-riscv64 is not on the PATH and could not be brought" in err
    assert "apt-get install qemu-user" in err
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_qemu_that_is_none(compiled: Compiled, pilot: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("/bin/true", "/nowhere/qemu-riscv64"):
        monkeypatch.setenv("PILOTFISH_QEMU", program)
        assert pilot("verify", compiled("dense", "rv64gcv")).status == 5


# Bundles


@pytest.fixture
def copied(compiled: Compiled, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(compiled("dense", "host"), tmp_path / "bundle"))


@pytest.mark.parametrize("command", ["run", "verify", "count"])
def test_what_is_no_bundle(tmp_path: Path, pilot: Command, command: str) -> None:
    assert pilot(command, tmp_path / "nowhere").status == 7
    assert pilot(command, tmp_path).status == 7


def test_a_changed_bundle(copied: Path, pilot: Command) -> None:
    program = copied / "model.elf"
    content = bytearray(program.read_bytes())
    content[-1] ^= 1
    program.write_bytes(content)
    said = pilot("verify", copied)
    assert said.status == 7
    assert "model.elf was changed" in said.err
    program.unlink()
    said = pilot("verify", copied)
    assert said.status == 7
    assert "lacks model.elf" in said.err


def test_a_bundle_of_another_version(copied: Path, pilot: Command) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    said = pilot("run", copied)
    assert said.status == 7
    assert "compile the model again" in said.err


def test_results_that_differ(copied: Path, pilot: Command) -> None:
    model = dense_model()
    bias = numpy_helper.to_array(model.graph.initializer[1]) + np.float32(0.01)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(bias, "b"))
    onnx.save(model, copied / "model.onnx")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = vars(fingerprint(copied / "model.onnx"))
    (copied / "manifest.json").write_text(json.dumps(manifest))
    said = pilot("verify", copied)
    assert said.status == 9
    assert "DIFFERS from ONNX Runtime" in said.out
    assert pilot("verify", copied, "--rtol", "0.5").status == 0
    said = pilot("verify", copied, "--json")
    assert said.status == 9
    assert json.loads(said.out)[0]["passed"] is False


# Disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """An empty file system of so many bytes; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()

    def make(size: int) -> Path:
        subprocess.run(["umount", str(place)], capture_output=True, check=False)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)], capture_output=True)
        if done.returncode:
            pytest.skip("making a small file system takes root")
        return place

    yield make
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


@pytest.mark.parametrize("kib", [4, 12, 24, 40, 60])
def test_a_full_disk(dense_file: Path, small_disk: Callable[[int], Path], pilot: Command, kib: int) -> None:
    disk = small_disk(kib << 10)
    said = pilot("compile", dense_file, "-o", disk / "out")
    assert said.status == 8, said.err
    assert names(disk) == []


def test_a_full_cache(dense_file: Path, tmp_path: Path, small_disk: Callable[[int], Path], pilot: Command,
                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("PILOTFISH_CACHE", str(small_disk(8 << 10)))
    said = pilot("compile", dense_file, "-o", tmp_path / "out")
    assert said.status == 8, said.err
    assert names(tmp_path) == ["dense.onnx", "disk"]


@pytest.mark.parametrize("file", ["model.c", "model.h", "weights.bin", "weights.S", "model.onnx", "manifest.json"])
def test_every_write_that_finds_the_disk_full(
    dense_file: Path, tmp_path: Path, pilot: Command, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    real = Path.open

    def full(self: Path, mode: str = "r", *rest: object, **named: object) -> object:
        if "w" in mode and file in self.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return real(self, mode, *rest, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    monkeypatch.setattr("builtins.open", lambda path, *rest, **named: full(Path(path), *rest, **named))
    said = pilot("compile", dense_file, "-o", tmp_path / "out")
    assert said.status == 8
    assert "No space left on device" in said.err
    assert names(tmp_path) == ["dense.onnx"]


def test_an_output_that_cannot_be_written(compiled: Compiled, tmp_path: Path, pilot: Command) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 8), np.float32))
    run = ("run", compiled("dense", "host"), "-i", tmp_path / "x.npy", "-o")
    said = pilot(*run, "/dev/full")
    assert said.status == 8
    assert "No space left" in said.err
    assert pilot(*run, tmp_path / "no" / "y.npy").status == 8
    assert names(tmp_path) == ["x.npy"]


def test_standard_output_that_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        process = spawned("targets", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 8
    assert "No space left" in err
    assert "Traceback" not in err


def test_a_reader_that_went_away_is_no_news() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = spawned("targets", "--json", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=60)
    assert err == ""


# Interruptions


def test_an_interrupted_run_leaves_nothing(compiled: Compiled, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1_000_000, 1, 8), np.float32))
    (tmp_path / "temporary").mkdir()
    run = ("run", compiled("dense", "rv64gcv"), "-i", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    process = spawned(*run, env={"TMPDIR": str(tmp_path / "temporary")}, start_new_session=True)
    try:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("running 1000000 inferences"))
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")
    assert names(tmp_path) == ["temporary", "x.npy"]
    assert names(tmp_path / "temporary") == []


@pytest.fixture(scope="session")
def slow_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with a ``ziglang`` that takes its time, so that a signal finds it at work."""
    folder = tmp_path_factory.mktemp("slow")
    real = Path(ziglang.__file__).parent / "zig"
    (folder / "ziglang").mkdir()
    (folder / "ziglang" / "__init__.py").touch()
    (folder / "ziglang" / "__main__.py").write_text(
        "import os, sys, time\n"
        "if sys.argv[1:2] == ['cc']:\n"
        "    time.sleep(0.4)\n"
        f"os.execv({str(real)!r}, [{str(real)!r}, *sys.argv[1:]])\n"
    )
    return folder


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("old", [False, True], ids=["new", "over an old bundle"])
@pytest.mark.parametrize("moment", ["compiling model.c", "compiling pf_runner.c", "linking"])
def test_an_interruption_leaves_nothing(
    dense_file: Path,
    tmp_path: Path,
    slow_compiler: Path,
    compiled: Compiled,
    number: int,
    status: int,
    old: bool,
    moment: str,
) -> None:
    out = tmp_path / "out"
    if old:
        shutil.copytree(compiled("dense", "host"), out)
    before = names(tmp_path)
    env = {"PILOTFISH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(slow_compiler)}
    process = spawned("compile", dense_file, "-o", out, env=env, start_new_session=True)
    try:
        assert process.stderr is not None
        said = next(line for line in process.stderr if line.startswith(moment))
        time.sleep(0.05)
        os.killpg(process.pid, number)  # as a terminal does: to the compiler, too
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status, said + err
    assert "Traceback" not in err
    assert "error" not in err
    assert names(tmp_path) == sorted({*before, "cache"})
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in left if path.stat().st_size == 0 and path.suffix == ".o"]
    if old:
        assert pilotfish.Bundle.open(out).manifest.target.name == "host"
