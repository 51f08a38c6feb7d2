"""Tensors that go into a program and come out of it: files read, names, shapes and dtypes checked."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pilotfish.bundle.directory import storing
from pilotfish.bundle.manifest import TensorEntry
from pilotfish.compiler.graph import preprocessing
from pilotfish.compiler.graph.preprocessing import Preprocessing
from pilotfish.errors import InputError

Array = np.ndarray[Any, Any]
Settle = Callable[[tuple[int, int]], Preprocessing]

NPY = b"\x93NUMPY"


def checked(given: Mapping[str, Any], wanted: Sequence[TensorEntry]) -> tuple[dict[str, Array], int | None]:
    """The inputs as contiguous arrays with a leading batch dimension, and that batch (None: none was given).

    An array has the shape of its input, or one dimension more: a batch of inferences, the same for all inputs. Raises
    :class:`InputError` that names what is expected.
    """
    names = [tensor.name for tensor in wanted]
    expected = "expected " + "; ".join(map(str, wanted))
    if unknown := [name for name in given if name not in names]:
        raise InputError(f"no input is called {unknown[0]!r}: {expected}")
    if missing := [name for name in names if name not in given]:
        raise InputError(f"input {missing[0]!r} is missing: {expected}")
    batches: dict[str, int | None] = {}
    arrays: dict[str, Array] = {}
    for tensor in wanted:
        array = np.asarray(given[tensor.name])
        got = f"{array.dtype.name}[{'x'.join(map(str, array.shape))}]"
        if array.dtype.name != tensor.dtype:
            raise InputError(f"input {tensor.name!r} is {got}, expected dtype {tensor.dtype} ({tensor})")
        if array.shape == tensor.shape:
            batches[tensor.name] = None
        elif array.shape[1:] == tensor.shape and array.ndim == len(tensor.shape) + 1 and len(array):
            batches[tensor.name] = len(array)
        else:
            raise InputError(
                f"input {tensor.name!r} is {got}, expected {tensor}, or that with one more leading dimension for a "
                "batch of inferences"
            )
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        arrays[tensor.name] = np.ascontiguousarray(little).reshape(batches[tensor.name] or 1, *tensor.shape)
    if len(set(batches.values())) > 1:
        shown = ", ".join(f"{name}: {batch or 'one inference'}" for name, batch in batches.items())
        raise InputError(f"the inputs are not of one batch ({shown})")
    return arrays, next(iter(batches.values()), None)


def preprocessed(arrays: Mapping[str, Array], pictures: Sequence[Preprocessing]) -> dict[str, Array]:
    """What the model itself takes for a batch of inputs: the bytes of images preprocessed, by NumPy."""
    made = {p.input: np.stack([preprocessing.apply(p, image) for image in arrays[p.input]]) for p in pictures}
    return {**arrays, **made}


def load(path: Path, tensor: TensorEntry, picture: Preprocessing | None = None) -> tuple[Array, str]:
    """An input out of a file, and a line that says how it was read.

    ``.npy`` as it is; an image, decoded and fitted to the input (to the bytes that the program preprocesses, if
    ``picture`` is given); anything else as raw bytes in row-major order, of one or more inferences. Raises
    :class:`InputError` or :class:`StorageError`.
    """
    if path.is_char_device():  # such as /dev/zero, which never ends
        raise InputError(f"{path} is a device; give a file or a pipe")
    with storing(path, "read"):
        content = path.read_bytes()
    if content.startswith(NPY):
        return _npy(path, content), f"{tensor.name}: {path}"
    if path.suffix.lower() in (".raw", ".bin", ".dat"):
        return _raw(path, content, tensor)
    image = _image(path, content, tensor, picture)
    if image is not None:
        return image
    if path.suffix.lower() == ".npy":
        raise InputError(f"{path} is not a NumPy file, or is truncated")
    return _raw(path, content, tensor)


def load_image(path: Path, tensor: TensorEntry, settle: Settle | None = None) -> Array:
    """What the network gets for a file that must be an image: fitted to the input, or preprocessed.

    ``settle`` says how pictures of that (height, width) are preprocessed. Raises :class:`InputError` or
    :class:`StorageError`.
    """
    with storing(path, "read"):
        content = path.read_bytes()
    if settle is None:
        fitted = _image(path, content, tensor, None)
        if fitted is not None:
            return fitted[0]
    elif (picture := _opened(path, content)) is not None:
        wanted = settle((picture.height, picture.width))
        entry = TensorEntry(tensor.name, "uint8", (1, wanted.height, wanted.width, wanted.channels))
        return preprocessing.apply(wanted, _picture(path, picture, entry, wanted)[0])
    raise InputError(f"{path} is not an image, or is damaged")


def _npy(path: Path, content: bytes) -> Array:
    try:
        array: Array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a NumPy file, or is truncated: {error}") from error
    return array


def _raw(path: Path, content: bytes, tensor: TensorEntry) -> tuple[Array, str]:
    dtype = np.dtype(tensor.dtype)
    one = int(np.prod(tensor.shape, dtype=np.int64)) * dtype.itemsize
    if not content or one == 0 or len(content) % one:
        raise InputError(f"{path} has {len(content)} bytes; input {tensor} takes {one}, or a multiple for a batch")
    array = np.frombuffer(content, dtype.newbyteorder("<"))
    batch = len(content) // one
    shape = tensor.shape if batch == 1 else (batch, *tensor.shape)
    return array.reshape(shape), f"{tensor.name}: {path}, {len(content)} raw bytes as {dtype.name}"


def _opened(path: Path, content: bytes) -> Any:
    """Pillow's image, decoded; None if it does not know the file as one."""
    from PIL import Image, UnidentifiedImageError

    try:
        picture: Any = Image.open(io.BytesIO(content))
        picture.load()
    except UnidentifiedImageError:
        return None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is a damaged image: {error}") from error
    return picture


def _image(path: Path, content: bytes, tensor: TensorEntry, wanted: Preprocessing | None) -> tuple[Array, str] | None:
    """An image as NCHW (or CHW, HW) in 0..1, or as the wanted bytes; None if Pillow does not know the file as one."""
    picture = _opened(path, content)
    if picture is None:
        return None
    if wanted is not None:
        return _picture(path, picture, tensor, wanted)
    shape = tensor.shape
    channels = shape[-3] if len(shape) >= 3 else 1
    if not 2 <= len(shape) <= 4 or channels not in (1, 3) or (len(shape) == 4 and shape[0] != 1):
        raise InputError(f"an image does not fit input {tensor}: it must be [1x]CxHxW with 1 or 3 channels; give .npy")
    if tensor.dtype not in ("float32", "uint8"):
        raise InputError(f"an image does not fit input {tensor}: its dtype must be float32 or uint8; give .npy")
    height, width = shape[-2:]
    array, done = _pixels(picture, channels, width, height)
    if tensor.dtype == "float32":
        array = array.astype(np.float32) / np.float32(255)
        done.append("divided by 255")
    array = np.moveaxis(array, -1, 0) if channels == 3 else array
    return array.reshape(shape), f"{tensor.name}: {path}, " + ", ".join(done)


def _picture(path: Path, picture: Any, tensor: TensorEntry, wanted: Preprocessing) -> tuple[Array, str]:
    """An image as the bytes that a program preprocesses. It has one size: other images are resized to it by Pillow."""
    if tensor.shape[0] != 1:
        raise InputError(f"an image does not fit input {tensor}, which takes {tensor.shape[0]} at once; give .npy")
    array, done = _pixels(picture, wanted.channels, wanted.width, wanted.height)
    if wanted.source == "BGR":
        array = array[..., ::-1]
        done.append("as BGR")
    return np.ascontiguousarray(array).reshape(tensor.shape), f"{tensor.name}: {path}, " + ", ".join(done)


def _pixels(picture: Any, channels: int, width: int, height: int) -> tuple[Array, list[str]]:
    """uint8 HxW or HxWx3 of that size, and what was done for it."""
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    done = [f"{picture.width}x{picture.height} {picture.mode}"]
    if picture.mode != mode:
        picture = _opaque(picture).convert(mode)
        done.append("to grey" if mode == "L" else "to RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        done.append(f"resized to {width}x{height}")
    return np.asarray(picture), done


def _opaque(picture: Any) -> Any:
    """16-bit greys scaled to 8 bits, transparency over white: Pillow's own conversions clip and drop them."""
    from PIL import Image

    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).astype(np.float64) / 257).round().clip(0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        front = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", front.size, "white"), front)
    return picture
