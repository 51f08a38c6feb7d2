"""The directory of a bundle: read, and checked against its manifest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilotfish.bundle.manifest import FileEntry, Manifest, loads
from pilotfish.errors import BundleError, StorageError

MANIFEST = "manifest.json"


def fingerprint(path: Path) -> FileEntry:
    """Size and SHA-256 of a file."""
    with storing(path, "read"), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(digest, os.fstat(file.fileno()).st_size)


def read(folder: Path) -> Manifest:
    """The manifest of a bundle, without a look at its other files."""
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a bundle: no such directory (make one with `pilotfish compile`)")
    path = folder / MANIFEST
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}") from None
    except UnicodeDecodeError as error:
        raise BundleError(f"{path} is damaged: {error}; compile the model again") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    manifest = loads(text, path)
    if odd := [name for name in manifest.files if Path(name).name != name]:
        raise BundleError(f"{path} is damaged: it lists {odd[0]!r}, which is not a file name")
    return manifest


def open_checked(folder: Path) -> Manifest:
    """The manifest of a bundle whose every file is there and as it was made; else :class:`BundleError`."""
    manifest = read(folder)
    for name, made in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"the bundle {folder} lacks {name}: compile the model again")
        found = fingerprint(path)
        if found != made:
            what = f"has {found.bytes} bytes, not {made.bytes}" if found.bytes != made.bytes else "has other content"
            raise BundleError(f"{path} was changed after the bundle was made (it {what}): compile the model again")
    return manifest


@contextmanager
def storing(path: Path, what: str = "write") -> Iterator[None]:
    """Turns an ``OSError`` of the body into a :class:`StorageError` that names the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {what} {error.filename or path}: {error.strerror or error}") from error
