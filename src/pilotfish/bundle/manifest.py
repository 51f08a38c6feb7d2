"""What a bundle says of itself: ``manifest.json`` as typed, immutable data.

Sizes and offsets are in bytes. A field that is added later must have a default, so that older bundles stay readable; a
change that older readers cannot bear raises :data:`FORMAT`.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pilotfish.compiler.graph.preprocessing import Preprocessing
from pilotfish.compiler.targets import Target
from pilotfish.errors import BundleError

FORMAT = 1
"""Version of the layout of ``manifest.json``."""


@dataclass(frozen=True)
class TensorEntry:
    """An input or output: ``dtype`` is NumPy's name, ``shape`` that of one inference."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class BufferEntry:
    """One piece of the arena, the values that share it, and the first and last step that use it."""

    names: tuple[str, ...]
    offset: int
    bytes: int
    first_step: int
    last_step: int


@dataclass(frozen=True)
class PlanEntry:
    """The memory plan. ``lower_bound_bytes`` is what the buffers that live at once need: no plan can be smaller."""

    arena_bytes: int
    lower_bound_bytes: int
    buffers: tuple[BufferEntry, ...]


@dataclass(frozen=True)
class StepEntry:
    """One kernel call: the node it computes, its operator, the C function, its multiply-accumulates."""

    node: str
    op: str
    kernel: str
    macs: int


@dataclass(frozen=True)
class Sizes:
    """Of the files. The library's text is its machine code; its constants are those besides the weights."""

    program_bytes: int
    program_without_weights_bytes: int
    weights_bytes: int
    library_text_bytes: int
    library_constant_bytes: int


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle as it was made."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """Everything known of a bundle. ``name`` prefixes its files and C symbols; ``model`` is the network's own name.

    ``preprocess`` says what the program does to inputs that are bytes of images.
    """

    name: str
    model: str
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    target: Target
    plan: PlanEntry
    steps: tuple[StepEntry, ...]
    notes: tuple[str, ...]
    passes: tuple[str, ...]
    sizes: Sizes
    versions: dict[str, str]
    files: dict[str, FileEntry]
    preprocess: tuple[Preprocessing, ...] = ()
    format: int = field(default=FORMAT)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(step.macs for step in self.steps)

    def json(self) -> dict[str, Any]:
        """The manifest as JSON data."""
        return {"format": self.format, **{k: v for k, v in asdict(self).items() if k != "format"}}


def dumps(manifest: Manifest) -> str:
    """The text of ``manifest.json``."""
    return json.dumps(manifest.json(), indent=1, ensure_ascii=False) + "\n"


def loads(text: str, where: object = "the manifest") -> Manifest:
    """Read the text of a ``manifest.json``; raises :class:`BundleError` if it is none, or of another version."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BundleError(f"{where} is damaged: {error}; compile the model again") from error
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise BundleError(f"{where} is not the manifest of a Pilotfish bundle")
    if data["format"] != FORMAT:
        raise BundleError(
            f"{where} has format {data['format']}, this Pilotfish reads format {FORMAT}: compile the model again"
        )
    try:
        manifest: Manifest = _decode(Manifest, data, "manifest")
    except ValueError as error:
        raise BundleError(f"{where} is damaged: {error}; compile the model again") from error
    return manifest


def _decode(kind: Any, value: Any, at: str) -> Any:
    """JSON data as a value of the annotated type; ``ValueError`` says where it is something else."""
    origin = get_origin(kind)
    if is_dataclass(kind):
        return _decode_record(kind, value, at)
    if origin is Literal and value in get_args(kind):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(_decode(get_args(kind)[0], item, f"{at}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {key: _decode(get_args(kind)[1], item, f"{at}.{key}") for key, item in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, str) and type(value) is kind:
        return value
    raise ValueError(f"{at} is not of type {getattr(kind, '__name__', kind)}")


def _decode_record(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{at} is not an object")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(value) - set(known)):
        raise ValueError(f"{at} has the unknown member {unknown[0]!r}")
    required = {n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING}
    if missing := sorted(required - set(value)):
        raise ValueError(f"{at} lacks {missing[0]!r}")
    return kind(**{name: _decode(hints[name], item, f"{at}.{name}") for name, item in value.items()})
