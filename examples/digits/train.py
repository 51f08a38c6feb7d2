"""Train the TinyCNN of this example, and write ``tinycnn.onnx``, ``heldout.npz`` and ``calibration.npz`` here.

The data are the 1,797 scanned digits of scikit-learn's ``load_digits`` (8x8 pixels; E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, CC BY 4.0), scaled to 28x28. The
files are in the repository: run this only to make them anew (half a minute on one core)::

    .venv/bin/pip install -e '.[torch,train]'
    .venv/bin/python examples/digits/train.py

The seed fixes the split and the training; the weights still vary in their last bits between PyTorch versions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from scans import HERE, SIZE, as_input, scaled
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

HELD_OUT = 360
EPOCHS = 120
BATCH = 32
SEED = 7
OPSET = 18


class TinyCNN(nn.Module):
    """Images [n, 1, 28, 28] in 0..1 → logits [n, 10]; 16,410 parameters, 72,128 multiply-accumulates."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=1, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(8 * 14 * 14, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.conv(x)))
        logits: torch.Tensor = self.fc(torch.flatten(x, 1))
        return logits


def jittered(images: torch.Tensor) -> torch.Tensor:
    """The images, each turned by up to 10 degrees, scaled by up to 10 % and moved by up to 2 pixels."""
    count = images.shape[0]
    angle = (torch.rand(count) * 2 - 1) * np.deg2rad(10)
    scale = 1 + (torch.rand(count) * 2 - 1) * 0.1
    shift = (torch.rand(count, 2) * 2 - 1) * (2 / (SIZE / 2))
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    affine = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).reshape(count, 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def trained(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> TinyCNN:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    x, y = torch.from_numpy(as_input(images)), torch.from_numpy(labels)
    model = TinyCNN()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.02)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            loss = functional.cross_entropy(model(jittered(x[batch])), y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        if epoch % 20 == 19:
            print(f"epoch {epoch + 1}: loss {total / len(x):.4f}")
    return model.eval()


def export(model: TinyCNN, path: Path) -> None:
    """Write the network as one ONNX file, without the exporter's notes, which hold this machine's paths."""
    program = torch.onnx.export(
        model,
        (torch.zeros(1, 1, SIZE, SIZE),),
        input_names=["input"],
        output_names=["logits"],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    proto.doc_string = "TinyCNN on 28x28 digits: logits of the ten classes. Made by examples/digits/train.py"
    graph = proto.graph
    graph.name = "tinycnn"
    del graph.value_info[:]
    for noted in (proto, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del noted.metadata_props[:]
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def for_calibration(labels: NDArray[np.int64], train: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first ten training scans of each digit."""
    return np.concatenate([train[labels[train] == digit][:10] for digit in range(10)])


def main() -> None:
    data = load_digits()
    images = np.stack([scaled(image) for image in data.images])
    labels = data.target.astype(np.int64)
    train, held_out = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=SEED)
    model_file = HERE / "tinycnn.onnx"
    export(trained(images[train], labels[train]), model_file)
    np.savez_compressed(HERE / "calibration.npz", scans=data.images[for_calibration(labels, train)].astype(np.uint8))
    np.savez_compressed(HERE / "heldout.npz", images=images[held_out], labels=labels[held_out].astype(np.uint8))

    session = onnxruntime.InferenceSession(model_file)
    logits = np.concatenate(
        [session.run(["logits"], {"input": image[None]})[0] for image in as_input(images[held_out])]
    )
    right = int((logits.argmax(axis=1) == labels[held_out]).sum())
    print(f"{model_file.name}: {model_file.stat().st_size:,} bytes, held-out accuracy in ONNX Runtime ", end="")
    print(f"{right}/{len(held_out)} = {100 * right / len(held_out):.2f} %")


if __name__ == "__main__":
    main()
