"""Options that several commands share, and how their words are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotfish.cli import terminal
from pilotfish.errors import UsageError

if TYPE_CHECKING:
    from pilotfish.bundle.manifest import Manifest
    from pilotfish.bundle.tensors import Array

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The directory that `pilotfish compile` wrote.")]
Vlen = Annotated[
    int | None, typer.Option("--vlen", metavar="BITS", help="QEMU's vector length; by default the target's own.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", metavar="[NAME=]FILE", help="An input: .npy, an image, or raw bytes. Repeat for each input."
    ),
]


def target_names(begun: str) -> list[str]:
    """What a shell may complete ``--target`` with."""
    from pilotfish.compiler import targets

    return [name for name in targets.names() if name.startswith(begun)]


def shapes(words: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """``name=1x3x224x224`` → name and sizes."""
    found: dict[str, tuple[int, ...]] = {}
    for word in words or ():
        name, equals, sizes = word.rpartition("=")
        try:
            shape = tuple(int(size) for size in sizes.lower().split("x")) if sizes else ()
        except ValueError:
            shape = (0,)
        if not equals or not name or any(size < 1 for size in shape):
            raise UsageError(f"--shape {word} is not of the form NAME=1x3x224x224")
        found[name] = shape
    return found


def size(option: str, word: str | None) -> tuple[int, int] | None:
    """``480x640`` → height and width."""
    if word is None:
        return None
    sides = word.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise UsageError(f"{option} {word} is not of the form HEIGHTxWIDTH, such as 256x256")
    return int(sides[0]), int(sides[1])


def files(option: str, words: Sequence[str] | None, names: Sequence[str]) -> dict[str, Path]:
    """``[NAME=]FILE`` → name and file; the name may be left out where there is one tensor only."""
    found: dict[str, Path] = {}
    for word in words or ():
        name = next((n for n in sorted(names, key=len, reverse=True) if word.startswith(f"{n}=")), None)
        if name is None and "=" in word and not Path(word).exists():
            raise UsageError(f"{option} {word}: no such name; the names are {', '.join(names)}")
        if name is None and len(names) != 1:
            raise UsageError(f"{option} {word} needs a name in front, such as {names[0]}={word}; of {', '.join(names)}")
        file = word if name is None else word.removeprefix(f"{name}=")
        name = names[0] if name is None else name
        if not file:
            raise UsageError(f"{option} {word} names no file")
        if name in found:
            raise UsageError(f"{option}: {name} is given twice")
        found[name] = Path(file)
    return found


def arrays(words: Sequence[str] | None, manifest: Manifest) -> dict[str, Array]:
    """The inputs that ``--input`` names, read from their files; says how each was read."""
    from pilotfish.bundle.tensors import load

    tensors = manifest.inputs
    pictures = {picture.input: picture for picture in manifest.preprocess}
    given = files("--input", words, [tensor.name for tensor in tensors])
    found: dict[str, Array] = {}
    for tensor in tensors:
        if tensor.name in given:
            found[tensor.name], how = load(given[tensor.name], tensor, pictures.get(tensor.name))
            terminal.note(how)
    return found
