"""Calibration data: what the network sees in use, one dictionary of inputs per inference, and labels where known."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import onnx

from pilotfish.errors import InputError, UsageError

Array = np.ndarray[Any, Any]
Feed = Mapping[str, Array]

LABELS = "labels"
_PACE = 2.0  # seconds between two words of progress
LARGEST = 1000
"""Inferences that are taken unless the user wants more: ranges hardly change after some hundred."""


@dataclass(frozen=True)
class Input:
    """An input of the model that is calibrated; a dimension that is free is a string."""

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype.name}[{'x'.join(map(str, self.dims))}]"

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether it is the shape of one inference."""
        return len(shape) == len(self.dims) and all(
            size == dim if isinstance(dim, int) else size > 0 for size, dim in zip(shape, self.dims, strict=True)
        )


def inputs_of(proto: onnx.ModelProto, dims: Mapping[str, tuple[int | str, ...]]) -> tuple[Input, ...]:
    """The inputs of a model, with the dimensions that are known by now."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in proto.graph.input}
    return tuple(
        Input(name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kinds[name])), known) for name, known in dims.items()
    )


@dataclass(frozen=True)
class Calibration(Sequence[Mapping[str, Array]]):
    """Inferences: arrays [n, *shape of the input] by name, all of one length; labels [n] or None.

    ``notes`` says what was done to the data that the user may want to know.
    """

    arrays: Mapping[str, Array]
    labels: Array | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Array]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Array]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Array] | Sequence[Mapping[str, Array]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return {name: array[index] for name, array in self.arrays.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one inference, by input."""
        return {name: array.shape[1:] for name, array in self.arrays.items()}


def paced(feeds: Iterable[Feed], count: int, progress: Callable[[str], None], what: str) -> Iterator[Feed]:
    """The same items; says now and then how far it is."""
    said = -np.inf
    for number, feed in enumerate(feeds):
        if time.monotonic() - said > _PACE:
            progress(f"{what}: {number} of {count}" if number else what)
            said = time.monotonic()
        yield feed


def from_arrays(
    given: Mapping[str, Any], inputs: Sequence[Input], *, labels: Any = None, most: int = LARGEST, where: str
) -> Calibration:
    """Arrays by input name, and ``labels`` among them or beside them.

    An array has the shape of its input with one more dimension in front, or more along the input's own first
    dimension. More than ``most`` inferences are thinned out evenly. Raises :class:`InputError`.
    """
    given = dict(given)
    if labels is None and LABELS not in {i.name for i in inputs}:
        labels = given.pop(LABELS, None)
    _check_names(given, inputs, where)
    arrays = {i.name: _inferences(i, given[i.name], where) for i in inputs}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(f"{where}: the inputs have different numbers of inferences ({shown})")
    total = next(iter(counts.values()))
    if labels is not None:
        labels = _labels(labels, total, where)
    if total <= most:
        return Calibration(arrays, labels)
    chosen = np.linspace(0, total - 1, most).round().astype(int)
    return Calibration(
        {name: array[chosen] for name, array in arrays.items()},
        None if labels is None else labels[chosen],
        (f"{most} of the {total} inferences in {where} are used, evenly spread",),
    )


def from_samples(
    samples: Callable[[], Iterator[Any]],
    inputs: Sequence[Input],
    *,
    labels: Any = None,
    most: int = LARGEST,
    where: str,
) -> Calibration:
    """Dictionaries as :func:`from_arrays` takes them, one after the other; each is one inference or several.

    No more are drawn once there are ``most`` inferences.
    """
    parts: list[Calibration] = []
    count, cut = 0, False
    for number, sample in enumerate(samples(), 1):
        if count >= most:
            cut = True
            break
        at = f"{where}, item {number}"
        if not isinstance(sample, Mapping):
            raise InputError(f"{at}: it is a {type(sample).__name__}, not a dict of arrays by input name")
        part = from_arrays(sample, inputs, most=sys.maxsize, where=at)
        if parts:
            _check_alike(parts[0], part, at)
        parts.append(part)
        count += len(part)
    if not count:
        raise InputError(f"{where} gives no calibration data")
    joined = {i.name: np.concatenate([part.arrays[i.name] for part in parts]) for i in inputs}
    if labels is None and parts[0].labels is not None:
        labels = np.concatenate([part.labels for part in parts if part.labels is not None])
    notes = (f"the first {count} inferences of {where} are used",) if cut else ()
    return Calibration(joined, None if labels is None else _labels(labels, count, where), notes)


def _check_alike(first: Calibration, part: Calibration, at: str) -> None:
    for name, shape in part.shapes.items():
        if shape != first.shapes[name]:
            raise InputError(
                f"{at}: input {name!r} has shape {_x(shape)}, and {_x(first.shapes[name])} before: one program has one "
                "shape"
            )
    if (first.labels is None) != (part.labels is None):
        raise InputError(f"{at}: some items have labels and others not")


def _check_names(given: Mapping[str, Any], inputs: Sequence[Input], where: str) -> None:
    expected = "expected " + "; ".join(map(str, inputs))
    names = [i.name for i in inputs]
    if unknown := [name for name in given if name not in names]:
        raise InputError(f"{where}: no input is called {unknown[0]!r}; {expected}")
    if missing := [name for name in names if name not in given]:
        raise InputError(f"{where}: input {missing[0]!r} is missing; {expected}")


def _inferences(wanted: Input, value: Any, where: str) -> Array:
    """The array as [n, *shape], finite, of the input's dtype."""
    try:
        array = _typed(wanted, np.asarray(value), where)
    except ValueError as error:
        raise InputError(f"{where}: input {wanted.name!r} is no array: {error}") from error
    shape, rank = array.shape, len(wanted.dims)
    own = wanted.dims[0] if rank else 0
    if len(shape) == rank + 1 and (wanted.fits(shape[1:]) or 0 in shape):
        found = array
    elif wanted.fits(shape) and isinstance(own, int):
        found = array[None]
    elif len(shape) == rank > 0 and shape[0] % (step := own if isinstance(own, int) else 1) == 0 and (
        wanted.fits((step, *shape[1:])) or 0 in shape
    ):  # fmt: skip
        found = array.reshape(-1, step, *shape[1:])
    else:
        raise InputError(
            f"{where}: input {wanted.name!r} has shape {_x(shape)}, expected {wanted}, or one more dimension in front "
            "for a number of inferences"
        )
    if not found.size:
        raise InputError(f"{where}: input {wanted.name!r} is empty")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        bad = int(np.count_nonzero(~np.isfinite(found.reshape(len(found), -1)).all(axis=1)))
        kind = "NaN" if np.isnan(found).any() else "infinities"
        raise InputError(f"{where}: input {wanted.name!r} holds {kind} in {bad} of {len(found)} inferences")
    return np.ascontiguousarray(found)


def _typed(wanted: Input, array: Array, where: str) -> Array:
    """In the input's dtype, where nothing but digits of a float can be lost."""
    if array.dtype == wanted.dtype:
        return array
    if array.dtype.kind == "f" and wanted.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(wanted.dtype)
    if array.dtype.kind in "iub" and wanted.dtype.kind in "iub" and (array == array.astype(wanted.dtype)).all():
        return array.astype(wanted.dtype)
    hint = "; scale it as the network was trained" if array.dtype.kind in "iu" and wanted.dtype.kind == "f" else ""
    raise InputError(f"{where}: input {wanted.name!r} has dtype {array.dtype.name}, expected {wanted}{hint}")


def _labels(given: Any, count: int, where: str) -> Array:
    labels = np.asarray(given)
    if labels.dtype.kind not in "iu" or labels.size % count or not labels.size:
        raise InputError(
            f"labels are whole numbers, one for each of the {count} inferences of {where}, not "
            f"{labels.dtype.name}[{_x(labels.shape)}]"
        )
    return labels.reshape(count, -1)


def _x(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def labels_file(path: Path) -> Array:
    """The labels of a ``.npy`` file."""
    from pilotfish.bundle.directory import storing

    try:
        with storing(path, "read"):
            labels: Array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a NumPy file of labels, or is truncated: {error}") from error
    if not isinstance(labels, np.ndarray):
        raise UsageError(f"{path} holds several arrays; give labels as one array in a .npy file")
    return labels
