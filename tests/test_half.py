"""``--precision fp16``: right within what float16 can hold, half as large, refused where a core does not have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import networks
import pilotfish
from conftest import Command, dense_model
from pilotfish.board import run
from pilotfish.compiler import targets
from pilotfish.compiler.kernels import igemm, table
from pilotfish.compiler.kernels.table import Case
from pilotfish.errors import MachineError, UsageError
from pilotfish.measure.kernel_harness import run_cases

HALF_TARGETS = ("sifive-p670", "sifive-x280", "spacemit-k1")
EPS = 2.0**-11  # largest relative error of rounding to float16
RNG = np.random.default_rng(11)


def model(
    nodes: list[onnx.NodeProto], shape: tuple[int, ...], out: tuple[int, ...], **constants: object
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()]
    graph = helper.make_graph(
        nodes,
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op: str, inputs: str, output: str, **attrs: object) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=f"{op}_{output}", **attrs)


@pytest.mark.parametrize("name", ["tinycnn", "kws", "resnet8", "vww", "autoencoder"])
def test_a_network_agrees_with_float32(name: str, tmp_path: Path) -> None:
    network = networks.NETWORKS[name]()
    half = pilotfish.compile(network, target="spacemit-k1", output=tmp_path / "half", precision="fp16")
    assert half.verify(runs=2, vlen=256).relative <= 2e-2


@pytest.mark.parametrize("vlen", [128, 512, 1024])
def test_one_program_is_right_at_every_vector_length(vlen: int, tmp_path: Path) -> None:
    half = pilotfish.compile(
        networks.NETWORKS["kws"](), target="spacemit-k1", output=tmp_path / "out", precision="fp16"
    )
    assert half.verify(runs=1, vlen=vlen).relative <= 2e-2


def test_weights_and_arena_are_half_as_large(tmp_path: Path) -> None:
    whole, half = (
        pilotfish.compile(networks.NETWORKS["kws"](), target="spacemit-k1", output=tmp_path / p, precision=p).manifest  # type: ignore[arg-type]
        for p in ("fp32", "fp16")
    )
    assert half.sizes.weights_bytes <= 0.52 * whole.sizes.weights_bytes
    assert half.plan.arena_bytes <= 0.52 * whole.plan.arena_bytes
    assert half.inputs == whole.inputs
    assert half.outputs == whole.outputs


@pytest.mark.parametrize("depth", [64, 512, 1152, 4608])
@pytest.mark.parametrize("name", ["f16_igemm_7x4v__rvv", "f16_igemm_14x2v__rvv", "f16_igemm_16x1v__rvv"])
def test_long_sums_stay_exact_enough(name: str, depth: int) -> None:
    """Sums of pieces: every output within 270 roundings of Σ|x||w|, and as a whole within half a percent."""
    case = igemm.random_case("deep", igemm.product(18, depth, 48, 16), np.random.default_rng(depth))
    case = Case(case.label, case.args, tuple(b.astype(np.float16) for b in case.buffers), case.outputs)
    got = (
        run_cases(targets.load("spacemit-k1"), [(table.kernels()[name], case)])[0][3].reshape(18, 48).astype(np.float64)
    )
    x = case.buffers[0].astype(np.float64).reshape(18, depth)
    w = case.buffers[1].astype(np.float64).reshape(3, depth, 16).transpose(1, 0, 2).reshape(depth, 48)
    bias = case.buffers[2].astype(np.float64)
    want, size = x @ w + bias, np.abs(x) @ np.abs(w) + np.abs(bias)
    assert np.all(np.abs(got - want) <= (256 + depth / 256 + 2) * EPS * size)
    assert np.sqrt(np.mean((got - want) ** 2)) <= 5e-3 * np.sqrt(np.mean(want**2))


def test_what_has_no_float16_form_runs_in_float32_between(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Sigmoid", "a", "b"),
        node("Mul", "a b", "c"),  # silu
        node("Softmax", "c", "d", axis=1),
        node("Mul", "d s", "e"),
        node("Conv", "e w2", "f", strides=[2, 2]),
        node("HardSwish", "f", "g"),
        node("LeakyRelu", "g", "h"),
        node("Concat", "f h", "i", axis=1),
        node("ReduceMean", "i", "y", axes=[2, 3], keepdims=0),
    ]
    network = model(
        nodes, (2, 5, 9, 11), (2, 14),
        w=RNG.standard_normal((8, 5, 3, 3)) / 6, w2=RNG.standard_normal((7, 8, 3, 3)) / 8,
        s=RNG.uniform(5, 9, (8, 1, 1)),
    )  # fmt: skip
    half = pilotfish.compile(network, target="sifive-x280", output=tmp_path / "out", precision="fp16")
    assert half.verify(runs=3).relative <= 1e-2
    noted = [note for note in half.manifest.notes if "float32" in note]
    assert [note.split(":")[0] for note in noted] == ["Softmax_d", "ReduceMean_y"]


ELEMENTWISE = {
    "arithmetic": [node("Add", "a b", "c"), node("Mul", "c a", "d"), node("Sub", "d b", "e"), node("Max", "e b", "f")],
    "by numbers": [
        node("Mul", "a two", "c"), node("Add", "c one", "d"), node("Div", "one d", "e"), node("Min", "e a", "f"),
    ],
    "clamped": [
        node("Relu", "a", "c"), node("HardSigmoid", "b", "d"), node("Mul", "c d", "e"), node("Clip", "e zero two", "f"),
    ],
    "masks": [node("Greater", "a b", "c"), node("Where", "c a b", "d"), node("Neg", "d", "e"), node("Abs", "e", "f")],
    "functions": [node("Exp", "a", "c"), node("Tanh", "b", "d"), node("Mul", "c d", "e"), node("Erf", "e", "f")],
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_operators(name: str, tmp_path: Path) -> None:
    """Between two products, so that float16 comes in and goes out; one operand is broadcast."""
    nodes = [
        node("Conv", "x v", "a"),
        node("Conv", "x w", "b"),
        *ELEMENTWISE[name],
        node("Conv", "f u", "y"),
    ]
    network = model(
        nodes, (1, 6, 5, 7), (1, 4, 5, 7),
        v=RNG.standard_normal((10, 6, 1, 1)) / 3, w=RNG.standard_normal((10, 6, 1, 1)) / 3,
        u=RNG.standard_normal((4, 10, 1, 1)) / 4, one=3.0, two=0.7, zero=0.1,
    )  # fmt: skip
    half = pilotfish.compile(network, target="spacemit-k1", output=tmp_path / "out", precision="fp16")
    for vlen in (128, 1024):
        assert half.verify(runs=2, vlen=vlen).relative <= 1e-2


def test_weights_beyond_float16_stay_float32(tmp_path: Path) -> None:
    network = model([node("Conv", "x w", "y")], (1, 3, 4, 4), (1, 5, 4, 4), w=RNG.standard_normal((5, 3, 1, 1)) * 1e5)
    half = pilotfish.compile(network, target="spacemit-k1", output=tmp_path / "out", precision="fp16")
    assert half.verify(runs=1, rtol=1e-4).passed


def test_a_model_in_float16_is_taken_as_it_is(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Cast", "b", "c", to=TensorProto.FLOAT),
        node("Softmax", "c", "d", axis=1),
        node("Cast", "d", "e", to=TensorProto.FLOAT16),
        node("Mul", "e b", "f"),
        node("GlobalAveragePool", "f", "y"),
    ]
    weights = numpy_helper.from_array((RNG.standard_normal((8, 5, 3, 3)) / 6).astype(np.float16), "w")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, shape)
        for name, shape in (("x", (1, 5, 9, 11)), ("y", (1, 8, 1, 1)))
    ]
    graph = helper.make_graph(nodes, "half", ends[:1], ends[1:], [weights])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    half = pilotfish.compile(network, target="spacemit-k1", output=tmp_path / "out", precision="fp16")
    assert [t.dtype for t in (*half.manifest.inputs, *half.manifest.outputs)] == ["float16", "float16"]
    assert half.verify(runs=3).relative <= 1e-2


@pytest.mark.parametrize("target", ["rv64gcv", "rv64gc", "host"])
def test_a_target_without_it_is_refused_in_words(target: str, tmp_path: Path, pilot: Command) -> None:
    onnx.save(dense_model(), tmp_path / "m.onnx")
    said = pilot("compile", tmp_path / "m.onnx", "-o", tmp_path / "out", "--target", target, "--precision", "fp16")
    assert said.status == 2
    assert "Zvfh" in said.err
    assert all(name in said.err for name in HALF_TARGETS)
    assert not (tmp_path / "out").exists()


def test_an_extension_can_be_added_to_a_target(tmp_path: Path) -> None:
    half = pilotfish.compile(
        dense_model(), target="rv64gcv", attributes="+zfh,+zvfh", output=tmp_path / "out", precision="fp16"
    )  # fmt: skip
    assert half.verify(runs=1).passed


def test_a_machine_without_it_is_refused_at_the_start(tmp_path: Path) -> None:
    """QEMU refuses vectors of float16 to a core without Zfh."""
    half = pilotfish.compile(dense_model(), target="spacemit-k1", output=tmp_path / "out", precision="fp16")
    core = replace(half.manifest.target, qemu_cpu=half.manifest.target.qemu_cpu.replace("Zfh=true", "Zfh=false"))
    with pytest.raises(MachineError, match=r"float16 .*Zvfh.*--precision fp32"):
        run.run(half.program, core, {"x": np.zeros((1, 1, 8), np.float32)})


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="fp32, fp16"):
        pilotfish.compile(dense_model(), target="spacemit-k1", precision="fp8")  # type: ignore[arg-type]
