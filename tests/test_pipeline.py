"""From a model to right numbers, from Python: compile, run, verify."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import pilotfish
from conftest import Compiled, dense, dense_model
from pilotfish.board import qemu, run
from pilotfish.board.toolchain import Toolchain
from pilotfish.compiler import targets
from pilotfish.errors import UsageError

TARGETS = ("host", "rv64gc", "rv64gcv")


@pytest.mark.parametrize("target", TARGETS)
def test_a_program_computes_what_the_model_means(compiled: Compiled, target: str) -> None:
    bundle = pilotfish.Bundle.open(compiled("dense", target))
    x = np.random.default_rng(1).standard_normal((1, 8)).astype(np.float32)
    outputs = bundle.run({"x": x})
    assert list(outputs) == ["y"]
    assert outputs["y"].dtype == np.float32
    np.testing.assert_allclose(outputs["y"], dense(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_is_run_in_one_process(compiled: Compiled, target: str) -> None:
    bundle = pilotfish.Bundle.open(compiled("dense", target))
    x = np.random.default_rng(2).standard_normal((5, 1, 8)).astype(np.float32)
    lines: list[str] = []
    y = bundle.run({"x": x}, progress=lines.append)["y"]
    assert y.shape == (5, 1, 3)
    np.testing.assert_allclose(y, dense(x), rtol=1e-5, atol=1e-5)
    assert lines[0].startswith("running 5 inferences")
    assert bundle.run({"x": x[:1]})["y"].shape == (1, 1, 3)


def test_a_model_without_inputs() -> None:
    constant = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "c")
    graph = helper.make_graph(
        [helper.make_node("Exp", ["c"], ["y"], name="exp")],
        "constant",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
        [constant],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    bundle = pilotfish.compile(model, target="rv64gcv")
    np.testing.assert_allclose(bundle.run({})["y"], np.exp(np.arange(6.0)).reshape(2, 3), rtol=1e-6)
    assert bundle.verify().passed


def test_scalars_and_other_dtypes() -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["s", "s"], ["twice"], name="add"),
            helper.make_node("Not", ["b"], ["nb"], name="not"),
            helper.make_node("Mul", ["i", "i"], ["square"], name="square"),
        ],
        "odd",
        [
            helper.make_tensor_value_info("s", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("b", TensorProto.BOOL, [3]),
            helper.make_tensor_value_info("i", TensorProto.INT64, [2, 2]),
        ],
        [
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("nb", TensorProto.BOOL, [3]),
            helper.make_tensor_value_info("square", TensorProto.INT64, [2, 2]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    bundle = pilotfish.compile(model, target="rv64gcv")
    flags, whole = np.array([True, False, True]), np.array([[1, -2], [3, 2**40]])
    outputs = bundle.run({"s": np.float32(1.5), "b": flags, "i": whole})
    assert outputs["twice"].shape == ()
    assert outputs["twice"] == 3
    np.testing.assert_array_equal(outputs["nb"], ~flags)
    np.testing.assert_array_equal(outputs["square"], whole * whole)
    assert bundle.verify().passed


def test_several_inputs_and_outputs(compiled: Compiled) -> None:
    bundle = pilotfish.Bundle.open(compiled("pair", "rv64gcv"))
    rng = np.random.default_rng(3)
    left, right = (rng.standard_normal((4, 2, 5)).astype(np.float32) for _ in range(2))
    outputs = bundle.run({"right": right, "left": left})
    np.testing.assert_array_equal(outputs["sum"], left + right)
    np.testing.assert_array_equal(outputs["product"], left * right)


@pytest.mark.parametrize("vlen", [128, 256, 512, 1024])
def test_one_binary_is_right_at_every_vector_length(compiled: Compiled, vlen: int) -> None:
    report = pilotfish.Bundle.open(compiled("dense", "rv64gcv")).verify(vlen=vlen)
    assert report.passed
    assert report.relative <= 1e-6
    assert report.inferences == 3
    assert report.place == f"under QEMU, VLEN {vlen}"


def test_verify_on_given_inputs(compiled: Compiled) -> None:
    report = pilotfish.Bundle.open(compiled("dense", "host")).verify({"x": np.ones((2, 1, 8), np.float32)})
    assert report.passed
    assert report.inferences == 2
    assert [o.name for o in report.outputs] == ["y"]


def test_a_bundle_holds_what_it_says(tmp_path: Path) -> None:
    lines: list[str] = []
    bundle = pilotfish.compile(
        dense_model("N"), output=tmp_path / "out", shapes={"x": (4, 8)}, name="net", progress=lines.append
    )
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"net.elf", "libnet.a", "net.h", "net.c", "weights.bin", "model.onnx", "manifest.json"}
    manifest = bundle.manifest
    assert [str(t) for t in (*manifest.inputs, *manifest.outputs)] == ["x: float32[4x8]", "y: float32[4x3]"]
    assert manifest.macs == 4 * 8 * 3
    assert manifest.target.name == "rv64gcv"
    assert manifest.sizes.program_bytes == bundle.program.stat().st_size
    assert manifest.sizes.weights_bytes == (tmp_path / "out" / "weights.bin").stat().st_size
    assert 0 < manifest.sizes.library_text_bytes < bundle.library.stat().st_size
    assert manifest.plan.arena_bytes >= manifest.plan.lower_bound_bytes
    assert "writing the bundle" in lines
    bound = onnx.load(tmp_path / "out" / "model.onnx").graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in bound.dim] == [4, 8]
    assert pilotfish.Bundle.open(tmp_path / "out").manifest == manifest
    assert bundle.verify().passed


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    first = pilotfish.compile(dense_model(), output=tmp_path / "a")
    second = pilotfish.compile(dense_model(), output=tmp_path / "elsewhere" / "b")
    assert first.manifest == second.manifest
    for name in first.manifest.files:
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes(), name


def test_an_odd_path_is_no_trouble(tmp_path: Path) -> None:
    out = tmp_path / 'a "quoted" \\ path, of = all sorts'
    x = np.ones((1, 8), np.float32)
    y = pilotfish.compile(dense_model(), target="host", output=out).run({"x": x})["y"]
    np.testing.assert_allclose(y, dense(x), rtol=1e-5)


def test_without_a_directory_the_bundle_lives_as_long_as_its_object() -> None:
    bundle = pilotfish.compile(dense_model(), target="host")
    assert bundle.verify(runs=1).passed
    path = bundle.path
    assert path.exists()
    del bundle
    assert not path.exists()


def test_example_inputs_bind_shapes() -> None:
    bundle = pilotfish.compile(dense_model("N"), target="host", example_inputs={"x": np.zeros((6, 8), np.float32)})
    assert bundle.manifest.inputs[0].shape == (6, 8)


def test_external_data_is_loaded_and_kept(tmp_path: Path) -> None:
    model = dense_model()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((8, 3), np.float32), "w"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert (tmp_path / "m.data").stat().st_size >= 96
    bundle = pilotfish.compile(tmp_path / "m.onnx", target="host", output=tmp_path / "out")
    (tmp_path / "m.data").unlink()
    assert bundle.verify(runs=1).passed


def test_knobs_reach_the_target(tmp_path: Path) -> None:
    bundle = pilotfish.compile(dense_model(), output=tmp_path / "out", attributes="+zba,+zvl256b", vlen=512)
    target = bundle.manifest.target
    assert target.cpu.endswith("+zba+zvl256b")
    assert (target.vlen, target.vlen_min) == (512, 256)
    with pytest.raises(UsageError, match="go with a target's name"):
        pilotfish.compile(dense_model(), target=targets.load("rv64gcv"), vlen=128)


@pytest.mark.parametrize(
    ("name", "attributes", "isa"),
    [("rv64gc", "+v", "rvv"), ("rv64gcv", "-v", "scalar"), ("spacemit-k1", "+zbc,-v", "scalar")],
)
def test_vectors_can_be_added_and_left_out(name: str, attributes: str, isa: str) -> None:
    bundle = pilotfish.compile(dense_model(), target=name, attributes=attributes)
    assert bundle.manifest.target.isa == isa
    assert all(step.kernel.endswith(f"__{isa}") for step in bundle.manifest.steps)
    assert bundle.verify(runs=1).passed


def test_a_torch_module_is_compiled(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Dropout(),
        torch.nn.Linear(8, 5),
    )
    module(torch.randn(4, 3, 10, 10))  # gives the batch normalization statistics
    x = torch.randn(1, 3, 10, 10)
    bundle = pilotfish.compile(module, target="rv64gcv", example_inputs=x)
    assert module.training
    with torch.no_grad():
        want = module.eval()(x).numpy()
    (name,) = (t.name for t in bundle.manifest.inputs)
    (got,) = bundle.run({name: x.numpy()}).values()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_torch_module_needs_example_inputs() -> None:
    import torch

    with pytest.raises(UsageError, match="example_inputs"):
        pilotfish.compile(torch.nn.Linear(2, 2))


def test_what_is_no_model_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="not <class 'int'>"):
        pilotfish.compile(7)


@pytest.mark.parametrize("name", ["", "1st", "a-b", "a/b", "ä", "pf_x", "size", "int32", "x" * 64])
def test_names_that_cannot_start_a_c_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        pilotfish.compile(dense_model(), output=tmp_path / "out", name=name)
    assert list(tmp_path.iterdir()) == []


USER = r"""
#include <stdio.h>
#include <stdlib.h>
#include "one.h"
#include "two.h"
int main(void) {
    one_t a, b;
    two_t c;
    static _Alignas(PF_ALIGN) char arena_a[ONE_ARENA_BYTES + 1], arena_b[ONE_ARENA_BYTES + 1];
    static _Alignas(PF_ALIGN) char arena_c[TWO_ARENA_BYTES + 1];
    if (one_arena_bytes() != ONE_ARENA_BYTES) return 10;
    if (one_init(&a, arena_a, sizeof arena_a, NULL, 0) != PF_OK) return 11;
    if (one_init(&b, arena_b, sizeof arena_b, NULL, 0) != PF_OK) return 12;
    if (two_init(&c, arena_c, sizeof arena_c, NULL, 0) != PF_OK) return 13;
    if (one_init(&b, arena_b, 0, NULL, 0) != (ONE_ARENA_BYTES ? PF_ERR_ARENA : PF_OK)) return 14;
    if (one_init(NULL, arena_b, sizeof arena_b, NULL, 0) != PF_ERR_ARGUMENT) return 15;
    if (one_init(&b, arena_b, sizeof arena_b, arena_a, 1) != PF_ERR_WEIGHTS) return 16;
    float x[8], y[3], z[3];
    for (int i = 0; i < 8; i++) x[i] = (float)i;
    if (one_run(&a, (const void *[]){x}, (void *[]){y}) != PF_OK) return 17;
    if (two_run(&c, (const void *[]){x}, (void *[]){z}) != PF_OK) return 18;
    if (one_run(&a, (const void *[]){NULL}, (void *[]){y}) != PF_ERR_ARGUMENT) return 19;
    for (int i = 0; i < 3; i++) printf("%.9g %.9g\n", (double)y[i], (double)z[i]);
    return 0;
}
"""


@pytest.mark.parametrize("target", ["host", "rv64gcv"])
def test_two_libraries_in_one_c_program(tmp_path: Path, target: str) -> None:
    bundles = [pilotfish.compile(dense_model(), target=target, output=tmp_path / n, name=n) for n in ("one", "two")]
    (tmp_path / "user.c").write_text(USER)
    tools = Toolchain(targets.load("host" if target == "host" else "rv64gc"))
    user = tools.compile(tmp_path / "user.c", include=[b.path for b in bundles])
    tools.link([user, *(b.library for b in bundles)], tmp_path / "user")
    said = run.execute([*run.emulator(targets.load(target)), str(tmp_path / "user")])
    got = np.array([line.split() for line in said.splitlines()], np.float32)
    np.testing.assert_allclose(got, np.stack([dense(np.arange(8.0))] * 2, axis=1), rtol=1e-5)


@pytest.mark.parametrize("target", ["host", "rv64gc", "rv64gcv"])
def test_the_library_goes_into_a_shared_library_of_any_libc(compiled: Compiled, tmp_path: Path, target: str) -> None:
    out = tmp_path / "shared.so"
    whole = ["-Wl,--whole-archive", str(compiled("dense", target) / "libmodel.a"), "-Wl,--no-whole-archive"]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", targets.load(target).triple, "-shared", "-nostdlib"]
    subprocess.run([*command, *whole, "-o", str(out)], check=True)
    # Every C library lays out jmp_buf in its own way, and has sigsetjmp under another name.
    assert b"setjmp" not in out.read_bytes()


RACE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include "model.h"
static struct {
    _Alignas(PF_ALIGN) char bytes[MODEL_ARENA_BYTES + 1];
} arena[4];
static _Atomic int seen[PF_ERR_MACHINE_VLEN + 1];
static void *work(void *mine) {
    model_t m;
    for (int i = 0; i < 500; i++) seen[model_init(&m, mine, sizeof arena[0], NULL, 0)]++;
    return NULL;
}
int main(void) {
    pthread_t thread[4];
    struct sigaction after;
    for (int k = 0; k < 4; k++) pthread_create(&thread[k], NULL, work, &arena[k]);
    for (int k = 0; k < 4; k++) pthread_join(thread[k], NULL);
    sigaction(SIGILL, NULL, &after);
    printf("%d %d %d", seen[PF_OK], seen[PF_ERR_MACHINE_NO_VECTOR], after.sa_handler == SIG_DFL);
    return 0;
}
"""


@pytest.mark.parametrize(("cpu", "said"), [("rv64,v=true,vext_spec=v1.0", "2000 0 1"), ("rv64,v=false", "0 2000 1")])
def test_threads_look_at_the_machine_at_once(compiled: Compiled, tmp_path: Path, cpu: str, said: str) -> None:
    bundle = compiled("dense", "rv64gcv")
    (tmp_path / "race.c").write_text(RACE)
    tools = Toolchain(targets.load("rv64gc"))
    tools.link([tools.compile(tmp_path / "race.c", include=[bundle]), bundle / "libmodel.a"], tmp_path / "race")
    assert run.execute([*qemu.find().start, "-cpu", cpu, str(tmp_path / "race")]) == said


def test_the_header_is_cplusplus_too(compiled: Compiled, tmp_path: Path) -> None:
    source = tmp_path / "user.cpp"
    source.write_text('#include "model.h"\nsize_t f() { return model_arena_bytes() + model_info.n_inputs; }\n')
    command = [sys.executable, "-m", "ziglang", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    include = f"-I{compiled('dense', 'host')}"
    subprocess.run([*command, include, "-c", str(source), "-o", str(tmp_path / "user.o")], check=True)
