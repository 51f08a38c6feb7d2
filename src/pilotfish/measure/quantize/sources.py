"""Where calibration data come from: a ``.npz``, a folder of images, a function in a script, or Python objects."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.bundle.directory import storing
from pilotfish.bundle.manifest import TensorEntry
from pilotfish.bundle.tensors import Settle, load_image
from pilotfish.compiler.graph import Graph, TensorType, recipes
from pilotfish.errors import InputError, PilotfishError, UnboundShapeError, UsageError
from pilotfish.measure.quantize.calibration import LARGEST, Array, Calibration, Input, from_arrays, from_samples

Source = Path | str | Mapping[str, Any] | Array | Iterable[Mapping[str, Any]]

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})


def load(
    source: Source,
    inputs: Sequence[Input],
    *,
    labels: Any = None,
    most: int = LARGEST,
    preprocess: str | Path | None = None,
) -> Calibration:
    """Read calibration data for these inputs; ``labels`` override those that the data bring along.

    ``source`` is a ``.npz`` with arrays by input name, a folder of images (for a model of one input), a function
    ``script.py:name`` that yields dictionaries; or such a dictionary, an array, or an iterable of dictionaries.
    ``preprocess`` is the recipe for images, as `pilotfish compile` takes it. Raises :class:`InputError`,
    :class:`UsageError`, :class:`StorageError`.
    """
    if most < 1:
        raise UsageError(f"at least one inference is needed for calibration, not {most}")
    if not inputs:
        raise UsageError("the model has no inputs: there is nothing to calibrate with")
    if preprocess is not None and not (isinstance(source, str | Path) and Path(source).is_dir()):
        raise UsageError("preprocessing is for a folder of images; other data are what the network itself takes")
    if isinstance(source, np.ndarray):
        if len(inputs) > 1:
            raise InputError(f"the model has {len(inputs)} inputs: give a dict of arrays by name")
        source = {inputs[0].name: source}
    if isinstance(source, Mapping):
        return from_arrays(source, inputs, labels=labels, most=most, where="the calibration data")
    if not isinstance(source, str | Path | Iterable):
        raise UsageError(f"calibration data are a file, a folder, arrays or dicts of them, not {type(source).__name__}")
    if not isinstance(source, str | Path):
        items = iter(source)
        return from_samples(lambda: items, inputs, labels=labels, most=most, where="the calibration data")
    path, colon, function = str(source).rpartition(":")
    if colon and path.endswith(".py") and not Path(source).exists():
        script = Path(path)
        return from_samples(lambda: _calls(script, function), inputs, labels=labels, most=most, where=str(source))
    path_ = Path(source)
    if path_.is_dir():
        return _folder(path_, inputs, labels, most, preprocess)
    if path_.suffix == ".py":
        raise UsageError(f"{path_} needs the name of a function: {path_}:FUNCTION")
    return from_arrays(_npz(path_), inputs, labels=labels, most=most, where=str(path_))


def _npz(path: Path) -> dict[str, Array]:
    try:
        with storing(path, "read"), path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise InputError(f"{path} is a single array; save it by the input's name: np.savez(FILE, NAME=array)")
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} cannot be read as calibration data ({error}): give a .npz with arrays by input name, "
            "a folder of images, or SCRIPT.py:FUNCTION"
        ) from error


def _folder(
    folder: Path, inputs: Sequence[Input], labels: Any, most: int, preprocess: str | Path | None
) -> Calibration:
    """Every image below a folder, in the order of their paths; thinned out evenly before they are decoded."""
    with storing(folder, "read"):
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES and p.is_file())
    if not files:
        raise InputError(f"{folder} holds no images ({', '.join(sorted(IMAGES))})")
    if len(inputs) > 1:
        raise InputError(f"images are for a model of one input, this one has {', '.join(i.name for i in inputs)}")
    wanted, count = inputs[0], len(files)
    if any(isinstance(d, str) for d in wanted.dims[1:]):
        hint = f"bind it with --shape {wanted.name}=1x3x224x224"
        raise UnboundShapeError(f"input {wanted} needs a shape for images: {hint}")
    entry = TensorEntry(wanted.name, wanted.dtype.name, tuple(1 if isinstance(d, str) else d for d in wanted.dims))
    settle = None if preprocess is None else _recipe(preprocess, entry)
    if labels is not None and np.size(labels) != count:
        raise InputError(f"there are {np.size(labels)} labels for the {count} images of {folder}")
    chosen = np.linspace(0, count - 1, min(most, count)).round().astype(int)
    arrays = np.stack([load_image(files[i], entry, settle) for i in chosen])
    kept = None if labels is None else np.asarray(labels).reshape(-1)[chosen]
    found = from_arrays({wanted.name: arrays}, inputs, labels=kept, most=most, where=str(folder))
    notes = (f"{len(chosen)} of the {count} images in {folder} are used, evenly spread",) if most < count else ()
    return Calibration(found.arrays, found.labels, notes)


def _recipe(preprocess: str | Path, entry: TensorEntry) -> Settle:
    """How a picture of any size is preprocessed: as a program does that was compiled for that size."""
    recipe = recipes.load(preprocess)
    type_ = TensorType(np.dtype(entry.dtype), entry.shape)
    graph = Graph("calibration", (entry.name,), (), (), {entry.name: type_}, {})
    return lambda size: recipes.settle(recipe, graph, size)


def _calls(script: Path, function: str) -> Iterator[Any]:
    """What the function of a script yields. An exception of the script's own says where it came from."""
    with storing(script, "read"):
        script.read_bytes()
    name = f"pilotfish_calibration_{script.stem}"
    spec = importlib.util.spec_from_file_location(name, script)
    assert spec is not None and spec.loader is not None  # it ends with .py
    module = importlib.util.module_from_spec(spec)
    folder = str(script.resolve().parent)
    sys.path.insert(0, folder)  # as `python SCRIPT` would
    sys.modules[name] = module
    try:
        with _blamed(script):
            spec.loader.exec_module(module)
        made = getattr(module, function, None)
        if not callable(made):
            known = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == name]
            hint = f"; it has {', '.join(known)}" if known else ""
            raise UsageError(f"{script} has no function {function!r}{hint}")
        with _blamed(script):
            result = made()
            if isinstance(result, Mapping) or not isinstance(result, Iterable):
                raise InputError(
                    f"{script}:{function} returns a {type(result).__name__}; it must yield a dict of arrays by input "
                    "name for each inference"
                )
            yield from result
    finally:
        sys.path.remove(folder)
        del sys.modules[name]


@contextmanager
def _blamed(script: Path) -> Iterator[None]:
    """Turns whatever a user's script raises into an :class:`InputError` with the line that raised it."""
    try:
        yield
    except PilotfishError:
        raise
    except (Exception, SystemExit) as error:
        own = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == script]
        line, text = own[-1] if own else None, str(error)
        if isinstance(error, SyntaxError):
            line, text = error.lineno, error.msg
        at = f"{script}:{line}" if line else str(script)
        raise InputError(f"{at} raises {type(error).__name__}{': ' if text else ''}{text}") from error
