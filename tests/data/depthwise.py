"""Train ``depthwise.onnx``, a classifier of digits that one scale per layer ruins, and write it beside this file.

Networks of depthwise convolutions with batch normalization often have channels that hardly fire. Their variance is
tiny, so the normalization after the next depthwise filter multiplies them by a large number, and that number goes into
the filter when the two are folded. Filters of one layer then differ by orders of magnitude. One scale for all of them
rounds the ordinary ones to zero, and accuracy falls to chance; a scale per channel loses next to nothing.

Here it is made on purpose, without a change of the function: in front of each depthwise convolution three channels, on
which the network learnt not to depend, are divided by up to 1000, and the normalization behind it multiplies them
again. ``load_digits`` and the split are those of ``examples/digits/train.py``, so that its held-out images are held out
here too. Half a minute on one core; the file is in the repository::

    .venv/bin/pip install -e '.[torch,train]'
    .venv/bin/python tests/data/depthwise.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "examples" / "digits"))

import train as digits  # noqa: E402

EPOCHS = 60
FAINT = 3  # channels before each depthwise convolution, of 24 and 32
FAINTEST = 1000.0


class Layer(nn.Module):
    """Convolution, batch normalization, ReLU; of the first ``faint`` channels each image loses half in training."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1, *, faint: int = 0
    ) -> None:
        super().__init__()
        self.faint = faint
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.norm(self.conv(x)))
        if not self.training or not self.faint:
            return y
        gate = torch.ones(*y.shape[:2], 1, 1)
        gate[:, : self.faint] = (torch.rand(len(y), self.faint, 1, 1) < 0.5).float()
        return y * gate


class Network(nn.Module):
    """Images [n, 1, 28, 28] in 0..1 → logits [n, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                Layer(1, 24, 3, 2, faint=FAINT),
                Layer(24, 24, 3, groups=24),
                Layer(24, 32, 1, faint=FAINT),
                Layer(32, 32, 3, 2, groups=32),
                Layer(32, 32, 1),
            ]
        )
        self.fc = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        logits: torch.Tensor = self.fc(x.mean((2, 3)))
        return logits


NAMES = ("stem", "depthwise1", "pointwise1", "depthwise2", "pointwise2")


def trained(images: torch.Tensor, labels: torch.Tensor) -> Network:
    torch.manual_seed(digits.SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = Network()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    steps = EPOCHS * -(-len(images) // digits.BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(images))
        for start in range(0, len(images), digits.BATCH):
            batch = order[start : start + digits.BATCH]
            x = digits.jittered(images[batch])
            loss = functional.cross_entropy(model(x), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.eval()


def as_arrays(layer: nn.Module) -> dict[str, NDArray[np.float64]]:
    norm = layer.norm
    tensors = {"w": layer.conv.weight, "scale": norm.weight, "shift": norm.bias, "mean": norm.running_mean}
    arrays = {name: t.detach().numpy().astype(np.float64) for name, t in tensors.items()}
    return {**arrays, "variance": norm.running_var.numpy().astype(np.float64) + norm.eps}


def make_faint(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Divide channels behind the first layer, and let the normalization of the second, depthwise one undo it."""
    for channel, factor in enumerate(np.geomspace(FAINTEST, FAINTEST / 4, FAINT)):
        for name in ("scale", "shift"):
            before[name][channel] /= factor
        after["mean"][channel] /= factor
        after["variance"][channel] /= factor**2


def export(layers: list[dict[str, NDArray[np.float64]]], model: Network, path: Path) -> None:
    """ONNX with the normalizations as nodes of their own, as training frameworks write it."""
    nodes, constants, value = [], [], "input"
    for name, layer, arrays in zip(NAMES, model.layers, layers, strict=True):
        constants += [numpy_helper.from_array(a.astype(np.float32), f"{name}.{k}") for k, a in arrays.items()]
        conv, size = layer.conv, layer.conv.kernel_size[0]
        attributes = {"strides": conv.stride, "pads": [size // 2] * 4, "group": conv.groups, "kernel_shape": [size] * 2}
        nodes += [
            helper.make_node("Conv", [value, f"{name}.w"], [f"{name}.conv"], name, **attributes),
            helper.make_node(
                "BatchNormalization",
                [f"{name}.conv", *(f"{name}.{k}" for k in ("scale", "shift", "mean", "variance"))],
                [f"{name}.norm"],
                f"{name}.norm",
                epsilon=0.0,
            ),
            helper.make_node("Relu", [f"{name}.norm"], [f"{name}.relu"], f"{name}.relu"),
        ]
        value = f"{name}.relu"
    nodes += [
        helper.make_node("GlobalAveragePool", [value], ["pool"], "pool"),
        helper.make_node("Flatten", ["pool"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "fc.w", "fc.b"], ["logits"], "classifier", transB=1),
    ]
    constants += [
        numpy_helper.from_array(model.fc.weight.detach().numpy(), "fc.w"),
        numpy_helper.from_array(model.fc.bias.detach().numpy(), "fc.b"),
    ]
    graph = helper.make_graph(
        nodes,
        "depthwise",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 1, digits.SIZE, digits.SIZE])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, 10])],
        constants,
        doc_string="Digits; faint channels before depthwise convolutions. Made by tests/data/depthwise.py",
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def main() -> None:
    data = load_digits()
    images = torch.from_numpy(digits.as_input(np.stack([digits.scaled(image) for image in data.images])))
    labels = torch.from_numpy(data.target.astype(np.int64))
    train, held_out = train_test_split(
        np.arange(len(labels)), test_size=digits.HELD_OUT, stratify=labels, random_state=digits.SEED
    )
    model = trained(images[train], labels[train])
    layers = [as_arrays(layer) for layer in model.layers]
    for place in (0, 2):
        make_faint(layers[place], layers[place + 1])
    export(layers, model, HERE / "depthwise.onnx")
    with torch.no_grad():
        right = (model(images[held_out]).argmax(1) == labels[held_out]).float().mean().item()
    size = (HERE / "depthwise.onnx").stat().st_size
    print(f"depthwise.onnx: {size:,} bytes, held-out accuracy {100 * right:.2f} %")  # noqa: T201


if __name__ == "__main__":
    main()
