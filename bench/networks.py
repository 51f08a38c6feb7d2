"""The benchmark networks, as ONNX models: real architectures, seeded random weights.

tinycnn is the small network of the tutorial; resnet8, kws, vww and autoencoder are the MLPerf Tiny closed-division
architectures (image classification, keyword spotting, visual wake words, anomaly detection); mbv2 and resnet50 the
usual 224x224 classifiers. Weights are random (He scale, fixed seed), so these say nothing of accuracy: they are for
instruction counts, memory and numerical agreement. `python bench/networks.py OUT_DIR [NAME ...]` writes files.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Value = tuple[str, int, tuple[int, int]]


class Net:
    """A small sequential ONNX graph builder in NCHW, batch 1, opset 13."""

    def __init__(self, name: str, in_shape: Sequence[int], seed: int = 7) -> None:
        self.name, self.in_shape, self.macs = name, list(in_shape), 0
        self.nodes: list[onnx.NodeProto] = []
        self.inits: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def _param(self, array: Any) -> str:
        name = f"p{len(self.inits)}"
        self.inits.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def op(self, kind: str, inputs: Sequence[str], **attrs: Any) -> str:
        """Append a node; the name of its output."""
        self.count += 1
        out = f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=out, **attrs))
        return out

    def conv(
        self,
        x: str,
        cin: int,
        hw: tuple[int, int],
        cout: int,
        k: int | tuple[int, int],
        stride: int = 1,
        pad: str | int = "same",
        groups: int = 1,
        act: str | None = None,
        scale: float = 1.0,
    ) -> Value:
        """Append a convolution with bias and perhaps an activation; its output, channels and size."""
        kh, kw = (k, k) if isinstance(k, int) else k
        h, w = hw
        if pad == "same":

            def split(size: int, kernel: int) -> tuple[int, int]:
                total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
                return total // 2, total - total // 2

            (top, bottom), (left, right) = split(h, kh), split(w, kw)
        else:
            top = bottom = left = right = int(pad)
        oh, ow = (h + top + bottom - kh) // stride + 1, (w + left + right - kw) // stride + 1
        fan_in = cin // groups * kh * kw
        weight = self._param(self.rng.standard_normal((cout, cin // groups, kh, kw)) * np.sqrt(2 / fan_in) * scale)
        bias = self._param(self.rng.standard_normal(cout) * 0.05)
        self.macs += cout * oh * ow * fan_in
        y = self.op(
            "Conv",
            [x, weight, bias],
            kernel_shape=[kh, kw],
            strides=[stride, stride],
            pads=[top, left, bottom, right],
            group=groups,
        )
        if act == "relu":
            y = self.op("Relu", [y])
        elif act == "relu6":
            y = self.op("Clip", [y, self._param(0.0), self._param(6.0)])
        return y, cout, (oh, ow)

    def fc(self, x: str, n_in: int, n_out: int, act: str | None = None) -> str:
        """Append a fully connected layer; its output."""
        weight = self._param(self.rng.standard_normal((n_out, n_in)) * np.sqrt(1 / n_in))
        self.macs += n_in * n_out
        y = self.op("Gemm", [x, weight, self._param(self.rng.standard_normal(n_out) * 0.05)], transB=1)
        return self.op("Relu", [y]) if act == "relu" else y

    def model(self, out: str, out_shape: Sequence[int]) -> onnx.ModelProto:
        """The finished, checked model."""
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, self.in_shape)],
            [helper.make_tensor_value_info(out, TensorProto.FLOAT, out_shape)],
            self.inits,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        return model


def tinycnn() -> onnx.ModelProto:
    n = Net("tinycnn", [1, 1, 28, 28])
    x, _, _ = n.conv("input", 1, (28, 28), 8, 3, pad=1, act="relu")
    x = n.op("Flatten", [n.op("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])], axis=1)
    return n.model(n.fc(x, 8 * 14 * 14, 10), [1, 10])


def resnet8() -> onnx.ModelProto:
    n = Net("resnet8", [1, 3, 32, 32])
    x, c, hw = n.conv("input", 3, (32, 32), 16, 3, act="relu")
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        y, _, hw2 = n.conv(x, c, hw, width, 3, stride, act="relu")
        y, _, _ = n.conv(y, width, hw2, width, 3)
        if stride != 1 or c != width:
            x, _, _ = n.conv(x, c, hw, width, 1, stride)
        x, c, hw = n.op("Relu", [n.op("Add", [x, y])]), width, hw2
    x = n.op("Flatten", [n.op("AveragePool", [x], kernel_shape=[8, 8], strides=[8, 8])], axis=1)
    return n.model(n.op("Softmax", [n.fc(x, 64, 10)], axis=1), [1, 10])


def kws() -> onnx.ModelProto:
    n = Net("kws", [1, 1, 49, 10])
    x, _c, hw = n.conv("input", 1, (49, 10), 64, (10, 4), 2, act="relu")
    for _ in range(4):
        x, _c, hw = n.conv(x, 64, hw, 64, 3, groups=64, act="relu")
        x, _c, hw = n.conv(x, 64, hw, 64, 1, act="relu")
    x = n.op("Flatten", [n.op("AveragePool", [x], kernel_shape=list(hw), strides=list(hw))], axis=1)
    return n.model(n.op("Softmax", [n.fc(x, 64, 12)], axis=1), [1, 12])


def vww() -> onnx.ModelProto:
    n = Net("vww", [1, 3, 96, 96])
    x, c, hw = n.conv("input", 3, (96, 96), 8, 3, 2, act="relu")
    for width, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *(((128, 1),) * 5),
        (256, 2),
        (256, 1),
    ):
        x, c, hw = n.conv(x, c, hw, c, 3, stride, groups=c, act="relu")
        x, c, hw = n.conv(x, c, hw, width, 1, act="relu")
    x = n.op("Flatten", [n.op("GlobalAveragePool", [x])], axis=1)
    return n.model(n.op("Softmax", [n.fc(x, 256, 2)], axis=1), [1, 2])


def autoencoder() -> onnx.ModelProto:
    n = Net("autoencoder", [1, 640])
    x, width = "input", 640
    for out in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x, width = n.fc(x, width, out, act="relu"), out
    return n.model(n.fc(x, width, 640), [1, 640])


def mbv2() -> onnx.ModelProto:
    n = Net("mbv2", [1, 3, 224, 224])
    x, c, hw = n.conv("input", 3, (224, 224), 32, 3, 2, pad=1, act="relu6")
    for expand, width, repeat, first in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for i in range(repeat):
            stride = first if i == 0 else 1
            y, yc, yhw = x, c, hw
            if expand != 1:
                y, yc, yhw = n.conv(y, yc, yhw, c * expand, 1, act="relu6")
            y, yc, yhw = n.conv(y, yc, yhw, yc, 3, stride, pad=1, groups=yc, act="relu6")
            y, yc, yhw = n.conv(y, yc, yhw, width, 1)
            x = n.op("Add", [x, y]) if stride == 1 and c == width else y
            c, hw = width, yhw
    x, c, hw = n.conv(x, c, hw, 1280, 1, act="relu6")
    return n.model(n.fc(n.op("Flatten", [n.op("GlobalAveragePool", [x])], axis=1), 1280, 1000), [1, 1000])


def resnet50() -> onnx.ModelProto:
    n = Net("resnet50", [1, 3, 224, 224])
    x, c, hw = n.conv("input", 3, (224, 224), 64, 7, 2, pad=3, act="relu")
    x, hw = n.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), (56, 56)
    for width, repeat, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(repeat):
            stride = first if i == 0 else 1
            y, _yc, yhw = n.conv(x, c, hw, width, 1, act="relu")
            y, _yc, yhw = n.conv(y, width, yhw, width, 3, stride, pad=1, act="relu")
            y, _yc, yhw = n.conv(y, width, yhw, width * 4, 1, scale=0.3)
            if i == 0:
                x, _, _ = n.conv(x, c, hw, width * 4, 1, stride)
            x, c, hw = n.op("Relu", [n.op("Add", [x, y])]), width * 4, yhw
    return n.model(n.fc(n.op("Flatten", [n.op("GlobalAveragePool", [x])], axis=1), 2048, 1000), [1, 1000])


NETWORKS: dict[str, Callable[[], onnx.ModelProto]] = {
    f.__name__: f for f in (tinycnn, resnet8, kws, vww, autoencoder, mbv2, resnet50)
}
"""Makers of the networks, by name."""


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model quantized to int8 by ONNX Runtime (QDQ, weights per channel), calibrated on four random inputs."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    given = model.graph.input[0]
    shape = [d.dim_value for d in given.type.tensor_type.shape.dim]
    rng = np.random.default_rng(3)
    batches = iter([{given.name: rng.standard_normal(shape).astype(np.float32)} for _ in range(4)])

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Any] | None:
            return next(batches, None)

    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        quantize_static(
            source, made, Reader(), per_channel=True, quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
        return onnx.load(made)


LIGHT = ("squeezenet", "shufflenet", "inception_v1", "inception_v2", "densenet121", "resnet50")
"""Networks of the onnx package without trained weights."""


def light(name: str) -> onnx.ModelProto:
    """One of the `light_*` networks that the onnx package carries."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return onnx.load(folder / f"light_{name}.onnx")


if __name__ == "__main__":
    if len(sys.argv) < 2 or any(name not in NETWORKS for name in sys.argv[2:]):
        sys.exit(__doc__)
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NETWORKS:
        onnx.save(NETWORKS[name](), Path(sys.argv[1]) / f"{name}.onnx")
