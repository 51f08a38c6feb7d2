"""Pilotfish from Python: :func:`compile` makes a :class:`Bundle`, which runs, verifies and counts itself.

:func:`quantize` makes an int8 model of a float one, to be compiled then.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx

from pilotfish import bundle, pipeline
from pilotfish.board import run
from pilotfish.bundle import reference, tensors
from pilotfish.bundle.manifest import Manifest
from pilotfish.compiler import targets
from pilotfish.compiler.graph import recipes, torch_import
from pilotfish.compiler.passes import Precision
from pilotfish.compiler.targets import Target
from pilotfish.errors import UsageError
from pilotfish.measure import count, verify
from pilotfish.measure import quantize as quantization
from pilotfish.measure.count import Counts
from pilotfish.measure.verify import VerifyReport

Array = np.ndarray[Any, Any]
Progress = Callable[[str], None]


def compile(  # noqa: A001  (pilotfish.compile is what users call it)
    model: Path | str | onnx.ModelProto | Any,
    *,
    target: str | Target = "rv64gcv",
    output: Path | str | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    example_inputs: Any = None,
    name: str = "model",
    cpu: str | None = None,
    attributes: str | None = None,
    vlen: int | None = None,
    preprocess: Path | str | None = None,
    image_size: tuple[int, int] | None = None,
    precision: Precision = "fp32",
    progress: Progress | None = None,
) -> Bundle:
    """Compile a model into a bundle.

    ``model`` is an ONNX file or model, or a ``torch.nn.Module``, which needs ``example_inputs`` (a tensor, a tuple of
    them, or a dict by argument name). ``output`` is the bundle's directory: a bundle that is there is replaced once
    the new one is complete; None makes a temporary one that vanishes with the returned object. ``shapes`` binds
    inputs with symbolic dimensions by name; arrays in a dict ``example_inputs`` do so too. ``cpu``, ``attributes``
    and ``vlen`` override the target's file, as :func:`pilotfish.compiler.targets.load` says. ``preprocess`` is a preset
    (``"imagenet"``) or a TOML file: the program then takes the bytes of images, of ``image_size`` (height, width) if
    given. ``precision="fp16"`` computes in float16 inside, for targets with the extension Zvfh. ``progress`` is
    called with a line before each long step.

    Raises the errors of :mod:`pilotfish.errors`: :class:`ModelError`, :class:`UsageError`, :class:`ToolError`,
    :class:`StorageError`.
    """
    if isinstance(target, str):
        target = targets.load(target, cpu=cpu, attributes=attributes, vlen=vlen)
    elif cpu is not None or attributes is not None or vlen is not None:
        raise UsageError("cpu, attributes and vlen go with a target's name, not with a Target")
    recipe = None if preprocess is None else recipes.load(preprocess)
    if recipe is None and image_size is not None:
        raise UsageError("an image size goes with preprocessing: say which, for example preprocess='imagenet'")
    if precision not in get_args(Precision):
        raise UsageError(f"the precision is one of {', '.join(get_args(Precision))}, not {precision!r}")
    say = progress or (lambda _: None)
    if torch_import.is_module(model):
        say("exporting the PyTorch module")
        model = torch_import.export(model, example_inputs)
    elif not isinstance(model, str | Path | onnx.ModelProto):
        raise UsageError(f"a model is an ONNX file, an onnx.ModelProto or a torch.nn.Module, not {type(model)}")
    elif isinstance(example_inputs, Mapping) and shapes is None:
        shapes = {key: np.shape(value) for key, value in example_inputs.items()}

    def made(out: Path) -> Bundle:
        manifest = pipeline.make_bundle(
            model, target, out, name, shapes, say, preprocess=recipe, image_size=image_size, precision=precision
        )  # fmt: skip
        return Bundle(out, manifest)

    if output is not None:
        return made(Path(output))
    folder = Path(tempfile.mkdtemp(prefix="pilotfish-"))
    try:
        temporary = made(folder / "bundle")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(temporary, shutil.rmtree, folder, ignore_errors=True)
    return temporary


def quantize(
    model: Path | str | onnx.ModelProto,
    calibration: quantization.Source,
    *,
    output: Path | str | None = None,
    labels: Any = None,
    method: str = "minmax",
    per_tensor: bool = False,
    exclude: Sequence[str] = (),
    min_snr: float | None = None,
    min_accuracy: float | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    samples: int = quantization.LARGEST,
    preprocess: Path | str | None = None,
    progress: Progress | None = None,
) -> quantization.Quantized:
    """Quantize a float model to int8: its ``model`` is ONNX in QDQ form, its ``report`` says what it cost.

    ``calibration`` is what the network sees in use: a ``.npz`` with arrays by input name, a folder of images, a
    function ``script.py:name`` that yields dicts of arrays; or a dict of arrays, one array, or an iterable of dicts.
    An array has the shape of its input with one more dimension in front, or more along the input's own first. No more
    than ``samples`` inferences are used. Images are fitted to the input and divided by 255, or go through the recipe
    ``preprocess``, as :func:`compile` takes it. ``labels`` are the right classes, whole numbers [n]; a ``.npz`` or a
    dict may hold them under that name.

    ``method`` is ``minmax``, ``entropy`` or ``percentile``. ``per_tensor`` gives a layer's weights one scale instead of
    one per channel. Nodes named in ``exclude`` stay float. ``min_snr`` (dB, of the outputs) or ``min_accuracy``
    (percent) keep further layers in float until that is reached on the calibration data. ``output`` is the file to
    write; what is there stays until the new one is complete.

    Raises :class:`ModelError` (also for a model that is quantized already), :class:`InputError`, :class:`UsageError`,
    :class:`StorageError`, and :class:`MismatchError` if the goal cannot be reached.
    """
    goal = None if min_snr is None and min_accuracy is None else quantization.Goal(min_snr, min_accuracy)
    return quantization.quantize(
        model,
        calibration,
        labels=labels,
        method=method,
        per_channel=not per_tensor,
        exclude=exclude,
        goal=goal,
        output=None if output is None else Path(output),
        shapes=shapes,
        samples=samples,
        preprocess=preprocess,
        progress=progress or (lambda _: None),
    )


class Bundle:
    """A compiled model in a directory. ``manifest`` describes it: tensors, target, memory plan, steps, sizes."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """The bundle of a directory; :class:`BundleError` unless every file is there and as it was made."""
        return cls(Path(path), bundle.open_checked(Path(path)))

    def __repr__(self) -> str:
        return f"<Bundle {self.manifest.model!r} for {self.manifest.target.name} in {self.path}>"

    @property
    def program(self) -> Path:
        """The static program."""
        return self.path / f"{self.manifest.name}.elf"

    @property
    def library(self) -> Path:
        """The static library; its header is beside it."""
        return self.path / f"lib{self.manifest.name}.a"

    def run(
        self, inputs: Mapping[str, Any], *, vlen: int | None = None, progress: Progress | None = None
    ) -> dict[str, Array]:
        """The outputs by name, from the program itself: under QEMU, or natively for the target ``host``.

        An input has the shape that ``manifest.inputs`` says, or one dimension more in front, the same for all inputs: a
        batch of inferences in one process, which the outputs then have too. ``vlen`` is the length of QEMU's vector
        registers in bits. Raises :class:`InputError`, :class:`MachineError` and :class:`ToolError`.
        """
        arrays, batch = tensors.checked(inputs, self.manifest.inputs)
        outputs = self._run(arrays, vlen, progress)
        named = zip(self.manifest.outputs, outputs, strict=True)
        return {tensor.name: out if batch is not None else out[0] for tensor, out in named}

    def verify(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        rtol: float | None = None,
        seed: int = 0,
        runs: int = 3,
        vlen: int | None = None,
        progress: Progress | None = None,
    ) -> VerifyReport:
        """Compare with ONNX Runtime: on the given inputs, or on ``runs`` random ones.

        What a bundle does to the bytes of images is done in NumPy before.

        The report's ``passed`` says whether every output is within ``rtol``: max |a - b| / max |b|; by default 1e-4,
        and 2e-2 where the program computes in float16.
        """
        if rtol is None:
            rtol = 2e-2 if "to_half" in self.manifest.passes else 1e-4
        if inputs is None:
            if runs < 1:
                raise UsageError(f"runs must be at least 1, not {runs}")
            arrays = verify.random_inputs(self.manifest.inputs, runs, seed)
        else:
            arrays, _ = tensors.checked(inputs, self.manifest.inputs)
        got = self._run(arrays, vlen, progress)
        if progress:
            progress("running ONNX Runtime")
        want = verify.reference(self.path / reference.NAME, tensors.preprocessed(arrays, self.manifest.preprocess))
        names = [tensor.name for tensor in self.manifest.outputs]
        return verify.compare(names, got, want, place=run.place(self.manifest.target, vlen), rtol=rtol)

    def count(self, *, vlen: int | None = None, steps: bool = True, progress: Progress | None = None) -> Counts:
        """Exactly what one inference executes under QEMU, by class and for each step: *counted*.

        It runs on fixed pseudo-random inputs. ``steps`` costs a second run. Raises :class:`UsageError` for the target
        ``host`` and :class:`ToolError` if this QEMU cannot count.
        """
        target, say = self.manifest.target, progress or (lambda _: None)
        run.check_vlen(target, vlen)
        return count.count(self.program, target, vlen=vlen, steps=steps, progress=say)

    def _run(self, arrays: Mapping[str, Array], vlen: int | None, progress: Progress | None) -> list[Array]:
        count = len(next(iter(arrays.values()), [None]))
        place = run.place(self.manifest.target, vlen)
        say = progress or (lambda _: None)
        macs = count * self.manifest.macs
        say(f"running {count} inference{'s' if count != 1 else ''} {place}{run.patience(self.manifest.target, macs)}")
        return run.run(self.program, self.manifest.target, arrays, vlen=vlen, progress=say)
