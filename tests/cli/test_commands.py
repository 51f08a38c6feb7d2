"""The commands do what their help says, in words and in JSON."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from conftest import Command, Compiled, dense
from pilotfish.compiler import targets

COMMANDS = ("compile", "run", "verify", "count", "targets")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_how(pilot: Command, command: str) -> None:
    said = pilot(command, "--help")
    assert said.status == 0
    assert f"pilotfish {command}" in said.out
    assert "--json" in said.out
    assert command == "targets" or "Examples" in said.out


def test_the_front_page_lists_all_commands_and_exit_statuses(pilot: Command) -> None:
    said = pilot("--help")
    assert all(f" {command} " in said.out for command in COMMANDS)
    assert "130 Ctrl-C" in said.out


def test_version(pilot: Command) -> None:
    said = pilot("--version")
    assert (said.status, said.out) == (0, "pilotfish 0.1.0\n")


@pytest.mark.parametrize(
    ("typed", "last", "offered"),
    [("pilotfish comp", 1, ["compile"]), ("pilotfish compile --target sifive-p", 3, ["sifive-p670"])],
)
def test_completion(typed: str, last: int, offered: list[str]) -> None:
    words = {"_PILOTFISH_COMPLETE": "complete_bash", "COMP_WORDS": typed.replace(" ", "\n"), "COMP_CWORD": str(last)}
    command = [sys.executable, "-m", "pilotfish.cli.main"]
    done = subprocess.run(command, env={**os.environ, **words}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


def test_targets(pilot: Command) -> None:
    said = pilot("targets")
    assert said.status == 0
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == targets.names()
    data = json.loads(pilot("targets", "--json").out)
    by_name = {target["name"]: target for target in data}
    assert (by_name["sifive-x280"]["vlen"], by_name["sifive-u74"]["isa"]) == (512, "scalar")


def test_compile_says_what_it_made(pilot: Command, dense_file: Path, tmp_path: Path) -> None:
    said = pilot("compile", dense_file, "-o", tmp_path / "out", "--target", "sifive-x280", "--name", "net")
    assert said.status == 0
    for words in ("dense for sifive-x280", "x: float32[1x8]", "y: float32[1x3]", "24 multiply-accumulates", "__rvv",
                  "the lower bound of"):  # fmt: skip
        assert words in said.out
    size = (tmp_path / "out" / "net.elf").stat().st_size
    assert f"net.elf: {size:,} bytes" in said.out
    assert "reading the model\n" in said.err
    assert "linking net.elf" in said.err


def test_compile_json_is_the_manifest(pilot: Command, dense_file: Path, tmp_path: Path) -> None:
    said = pilot("compile", dense_file, "-o", tmp_path / "out", "--json", "--target", "host")
    data = json.loads(said.out)
    assert data.pop("bundle") == str(tmp_path / "out")
    assert data == json.loads((tmp_path / "out" / "manifest.json").read_text())


def test_a_scalar_fallback_is_named(pilot: Command, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReverseSequence", ["x", "lengths"], ["y"], name="back", batch_axis=0, time_axis=1)],
        "m",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4]),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "m.onnx")
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out")
    assert said.status == 0
    assert "note     back (ReverseSequence) runs a scalar loop" in said.out


def test_run_writes_and_prints(pilot: Command, compiled: Compiled, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((2, 1, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    bundle = compiled("dense", "rv64gcv")
    said = pilot("run", bundle, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy", "--vlen", 512)
    assert said.status == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), dense(x), rtol=1e-5, atol=1e-5)
    assert "y: float32[2x1x3]" in said.out
    assert "running 2 inferences under QEMU, VLEN 512" in said.err
    (tmp_path / "x.raw").write_bytes(x[0].tobytes())
    said = pilot("run", bundle, "-i", f"x={tmp_path / 'x.raw'}", "--json")
    data = json.loads(said.out)["outputs"]["y"]
    assert (data["dtype"], data["shape"]) == ("float32", [1, 3])
    np.testing.assert_allclose(data["values"], dense(x[0]), rtol=1e-5, atol=1e-5)


def test_run_with_names(pilot: Command, compiled: Compiled, tmp_path: Path) -> None:
    left, right = np.full((2, 5), 3, np.float32), np.full((2, 5), 5, np.float32)
    np.save(tmp_path / "l.npy", left)
    np.save(tmp_path / "r.npy", right)
    said = pilot(
        "run", compiled("pair", "host"), "-i", f"right={tmp_path / 'r.npy'}", "-i", f"left={tmp_path / 'l.npy'}",
        "-o", f"product={tmp_path / 'p.npy'}",
    )  # fmt: skip
    assert said.status == 0
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), 15)
    assert "sum: float32[2x5]\n[[8. 8. 8. 8. 8.]" in said.out


def test_run_on_an_image(pilot: Command, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["mean"], name="pool")],
        "mean",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, 3, 1, 1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    assert pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out", "--target", "host").status == 0
    Image.new("RGB", (31, 17), (51, 102, 204)).save(tmp_path / "i.png")
    said = pilot("run", tmp_path / "out", "-i", tmp_path / "i.png", "--json")
    values = np.array(json.loads(said.out)["outputs"]["mean"]["values"])
    np.testing.assert_allclose(values.reshape(3), [0.2, 0.4, 0.8], rtol=1e-5)
    assert "31x17 RGB, resized to 8x8, divided by 255" in said.err


def test_json_has_no_bare_infinities(pilot: Command, compiled: Compiled, tmp_path: Path) -> None:
    x = np.full((2, 5), np.inf, np.float32)
    np.save(tmp_path / "x.npy", x)
    said = pilot("run", compiled("pair", "host"), "-i", f"left={tmp_path / 'x.npy'}", "-i",
                 f"right={tmp_path / 'x.npy'}", "--json")  # fmt: skip
    assert json.loads(said.out, parse_constant=pytest.fail)["outputs"]["sum"]["values"][0] == ["inf"] * 5


def test_verify(pilot: Command, compiled: Compiled, tmp_path: Path) -> None:
    said = pilot("verify", compiled("dense", "rv64gcv"), "--vlen", 128, "--vlen", 1024, "--runs", 2)
    assert said.status == 0
    assert "agrees with ONNX Runtime under QEMU, VLEN 128, 2 inferences, bound 0.0001" in said.out
    assert "VLEN 1024" in said.out
    np.save(tmp_path / "x.npy", np.ones((1, 8), np.float32))
    data = json.loads(pilot("verify", compiled("dense", "host"), "-i", tmp_path / "x.npy", "--json").out)
    assert len(data) == 1
    assert (data[0]["passed"], data[0]["inferences"], data[0]["outputs"][0]["name"]) == (True, 1, "y")


def test_count(pilot: Command, compiled: Compiled) -> None:
    bundle = compiled("dense", "rv64gcv")
    said = pilot("count", bundle, "--vlen", 256)
    assert said.status == 0
    assert "dense for rv64gcv, one inference, counted by QEMU" in said.out
    assert "VLEN 256" in said.out
    data = json.loads(pilot("count", bundle, "--vlen", 256, "--json").out)
    total = data["total"]
    assert data["source"] == "counted"
    assert data["macs"] == 24
    assert total["instructions"] == total["scalar"] + total["vset"] + total["vector"]
    assert total["vector"] > 0
    assert data["slots_per_mac"] == total["slots"] / 24
    assert f"{total['instructions']:,}" in said.out
    assert sum(s["instructions"] for s in data["steps"]) + data["dispatch"]["instructions"] == total["instructions"]
    assert len(data["steps"]) == len(json.loads((bundle / "manifest.json").read_text())["steps"])
    assert "steps" not in pilot("count", bundle, "--top", 0).out
    assert "1 of 1 steps" in pilot("count", bundle, "--per-step").out


def test_counting_twice_gives_the_same(pilot: Command, compiled: Compiled) -> None:
    first, second = (pilot("count", compiled("dense", "rv64gc"), "--json").out for _ in range(2))
    assert first == second
    assert json.loads(first)["total"]["vector"] == 0


def test_progress_is_one_moving_line_on_a_terminal(compiled: Compiled) -> None:
    reading, writing = pty.openpty()
    command = [sys.executable, "-m", "pilotfish.cli.main", "verify", str(compiled("dense", "rv64gcv"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=writing, env={**os.environ, "TERM": "xterm"})
    os.close(writing)
    shown = b""
    try:
        while chunk := os.read(reading, 4096):
            shown += chunk
    except OSError:  # the other side has closed
        pass
    finally:
        os.close(reading)
    assert process.wait(timeout=60) == 0
    assert process.stdout is not None
    assert b"agrees with" in process.stdout.read()
    process.stdout.close()
    assert b"running" in shown
    assert b"\x1b[2K" in shown  # erases the line in the end
