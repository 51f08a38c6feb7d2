"""Recipes of preprocessing, one TOML file each, and how a recipe is settled for one model.

docs/preprocessing.md explains the keys; `_SCHEMA` below is checked on load.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pilotfish.compiler.graph.ir import Graph, TensorType
from pilotfish.compiler.graph.preprocessing import Channels, Layout, Preprocessing
from pilotfish.errors import UsageError

Size = tuple[int, int]

LARGEST_ROW = 32768
"""Bytes of a source row that is resized or reordered: kernels index a row with 16 bits."""
_LARGEST = 1 << 16
_RESIZES = ("none", "cover", "stretch")


@dataclass(frozen=True)
class Recipe:
    """A recipe as it was written; a 0 or an empty string stands for what follows from the model.

    ``resize`` is a word or (height, width).
    """

    where: str
    input: str = ""
    height: int = 0
    width: int = 0
    resize: str | Size = "none"
    crop: float = 1.0
    source: str = ""
    model: str = ""
    layout: str = ""
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


def presets() -> list[str]:
    """The names of the recipes that come with Pilotfish."""
    names = (entry.name for entry in resources.files(__package__).iterdir())
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def load(name: str | Path) -> Recipe:
    """The preset of that name, or the recipe in that file; raises :class:`UsageError`."""
    known = presets()
    if str(name) in known:
        text, where = resources.files(__package__).joinpath(f"{name}.toml").read_text("utf-8"), f"preset {name}"
    else:
        where = str(name)
        try:
            text = Path(name).read_text("utf-8")
        except FileNotFoundError as error:
            raise UsageError(f"preprocessing {where!r} is no file, and no preset ({', '.join(known)})") from error
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{where} cannot be read: {error}") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error
    return parse(data, where)


def parse(data: dict[str, Any], where: str) -> Recipe:
    """A recipe out of its keys; raises :class:`UsageError` that names the key."""
    known = [f.name for f in fields(Recipe) if f.name != "where"]
    if unknown := sorted(set(data) - set(known)):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; the keys are {', '.join(known)}")
    settled: dict[str, Any] = {}
    for key, value in data.items():
        right, made = _SCHEMA[key]
        try:
            settled[key] = made(value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{where}: {key} must be {right}, not {value!r}") from error
    return Recipe(where, **settled)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _numbers(value: Any) -> tuple[float, ...]:
    found = tuple(_number(v) for v in value) if isinstance(value, list) else (_number(value),)
    if len(found) not in (1, 3):
        raise ValueError
    return found


def _nonzero(value: Any) -> tuple[float, ...]:
    found = _numbers(value)
    if not all(found):
        raise ValueError
    return found


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise TypeError
    return value


def _fraction(value: Any) -> float:
    number = _number(value)
    if not 0.01 <= number <= 1:
        raise ValueError
    return number


def _word(value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError
    return str(value)


def _resize(value: Any) -> str | Size:
    if isinstance(value, list):
        height, width = value
        return _size(height), _size(width)
    return _word(value, _RESIZES)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


_CHANNELS, _LAYOUTS = get_args(Channels), get_args(Layout)
_SCHEMA: dict[str, tuple[str, Any]] = {
    "input": ("the name of an input", _text),
    "height": (f"a number of pixels, 1 to {_LARGEST}", _size),
    "width": (f"a number of pixels, 1 to {_LARGEST}", _size),
    "resize": (f"one of {', '.join(_RESIZES)}, or [height, width]", _resize),
    "crop": ("a fraction from 0.01 to 1", _fraction),
    "source": (f"one of {', '.join(_CHANNELS)}", lambda v: _word(v, _CHANNELS)),
    "model": (f"one of {', '.join(_CHANNELS)}", lambda v: _word(v, _CHANNELS)),
    "layout": (f"one of {', '.join(_LAYOUTS)}", lambda v: _word(v, _LAYOUTS)),
    "scale": ("a number", _number),
    "mean": ("a number, or one for each channel", _numbers),
    "std": ("a number other than 0, or one for each channel", _nonzero),
}


def settle(recipe: Recipe, graph: Graph, image_size: Size | None = None) -> Preprocessing:
    """What the recipe means for a model; ``image_size`` is (height, width) of the source, instead of the recipe's.

    Raises :class:`UsageError` if they do not fit.
    """
    where = recipe.where
    name = _input(recipe, graph)
    type_ = graph.type(name)
    layout = _layout(recipe, name, type_)
    _, *sizes = type_.shape
    channels, height, width = sizes if layout == "NCHW" else (sizes[2], *sizes[:2])
    source, model = _orders(recipe, channels)
    mean, std = (_spread(where, key, value, channels) for key, value in (("mean", recipe.mean), ("std", recipe.std)))
    fit = (math.floor(height / recipe.crop), math.floor(width / recipe.crop))
    if image_size is not None and not all(1 <= side <= _LARGEST for side in image_size):
        raise UsageError(f"an image has 1 to {_LARGEST} pixels a side, not {image_size[0]}x{image_size[1]}")
    own = fit if isinstance(recipe.resize, str) else recipe.resize
    rows, cols = image_size or (recipe.height or own[0], recipe.width or own[1])
    new_rows, new_cols = _resized(recipe.resize, (rows, cols), fit)
    if new_rows < height or new_cols < width:
        done = "resized to " if (new_rows, new_cols) != (rows, cols) else ""
        raise UsageError(
            f"{where}: the picture, {done}{new_rows}x{new_cols}, does not cover the {height}x{width} of input {name!r}"
            ": take a larger one, or resize = 'cover' (all sizes are height x width)"
        )
    if ((new_rows, new_cols) != (rows, cols) or source != model) and cols * channels > LARGEST_ROW:
        largest = LARGEST_ROW // channels
        raise UsageError(f"{where}: only pictures of up to {largest} pixels a row are resized or reordered")
    top, left = round((new_rows - height) / 2), round((new_cols - width) / 2)  # as torchvision's center_crop
    return Preprocessing(
        name, layout, source, model, rows, cols, new_rows, new_cols, top, left, height, width, recipe.scale, mean, std,
    )  # fmt: skip


def _input(recipe: Recipe, graph: Graph) -> str:
    if recipe.input and recipe.input not in graph.inputs:
        raise UsageError(f"{recipe.where}: no input is called {recipe.input!r}; there are {', '.join(graph.inputs)}")
    images = [i for i in graph.inputs if len(graph.type(i).shape) == 4 and graph.type(i).dtype == "float32"]
    found = [recipe.input] if recipe.input else images
    if recipe.input and recipe.input not in images:
        raise UsageError(f"{recipe.where}: input {recipe.input!r} is {graph.type(recipe.input)}, not float32 of rank 4")
    if len(found) != 1:
        shown = "; ".join(f"{i}: {graph.type(i)}" for i in graph.inputs)
        raise UsageError(f"{recipe.where}: name the image input (input = …), float32 of rank 4; the inputs are {shown}")
    return found[0]


def _layout(recipe: Recipe, name: str, type_: TensorType) -> Layout:
    _, first, _, last = type_.shape
    if first in (1, 3) and recipe.layout != "NHWC":
        return "NCHW"
    if last in (1, 3) and recipe.layout != "NCHW":
        return "NHWC"
    raise UsageError(f"{recipe.where}: input {name!r} is {type_}; an image has 1 or 3 channels, first or last")


def _orders(recipe: Recipe, channels: int) -> tuple[Channels, Channels]:
    default = "L" if channels == 1 else "RGB"
    model = recipe.model or default
    source = recipe.source or default
    for key, order in (("model", model), ("source", source)):
        if len(order) != channels:
            raise UsageError(f"{recipe.where}: {key} = {order!r}, but the model takes {channels} channel(s)")
    return source, model  # type: ignore[return-value]


def _spread(where: str, key: str, value: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(value) not in (1, channels):
        raise UsageError(f"{where}: {key} has {len(value)} numbers, the model takes {channels} channel(s)")
    return value * channels if len(value) == 1 else value


def _resized(resize: str | Size, source: Size, fit: Size) -> Size:
    """The size that a source is resized to."""
    if not isinstance(resize, str):
        return resize
    if resize == "none":
        return source
    if resize == "stretch":
        return fit
    # The side that must shrink least (grow most) gets its size; the other keeps the proportions, rounded down as
    # torchvision's Resize does.
    (rows, cols), (new_rows, new_cols) = source, fit
    if new_rows * cols >= new_cols * rows:
        return new_rows, max(new_rows * cols // rows, new_cols)
    return max(new_cols * rows // cols, new_rows), new_cols
