"""The private cache: compiled objects, emulators, plugins. Safe to delete at any time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilotfish.errors import StorageError


def folder(*parts: str) -> Path:
    """The cache folder of that name, made if needed.

    ``$PILOTFISH_CACHE`` if set, else ``$XDG_CACHE_HOME/pilotfish``, else ``~/.cache/pilotfish``.
    """
    root = os.environ.get("PILOTFISH_CACHE")
    base = Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pilotfish"
    path = base.joinpath(*parts).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the cache folder {path}: {error.strerror}; set PILOTFISH_CACHE to a folder you can write"
        ) from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place if the body succeeds, and is removed if not."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise StorageError(f"cannot write in {path.parent}: {error.strerror}") from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
