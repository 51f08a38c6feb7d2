"""A bundle is written whole or not at all: made in a temporary directory, then moved into place at once.

A bundle that stands there already stays until the new one is complete; files in it that are not its own are kept.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pilotfish.bundle.directory import MANIFEST, read, storing
from pilotfish.errors import BundleError, UsageError


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A directory to make a bundle in; it becomes ``out`` if the body succeeds, and vanishes if not.

    Raises :class:`UsageError` if ``out`` holds something that is not a bundle, :class:`StorageError` if it cannot
    be written.
    """
    out = Path(os.path.realpath(out))
    _own_files(out)  # before the work, so that a refusal comes at once
    within = out.exists() and _stays(out)
    made = [] if out.exists() else [p for p in out.parents if not p.exists()]
    folder = (out if within else out.parent) / f".{out.name}.{secrets.token_hex(4)}"
    try:
        with storing(out):
            folder.mkdir(parents=True)  # not tempfile's: a bundle is as public as the user's umask says
        yield folder
        with storing(out), _undisturbed():
            own = _own_files(out, besides=folder)
            if within:
                _fill(folder, out, own)
            else:
                _swap(folder, out, own)
            made = []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()


def _own_files(out: Path, besides: Path | None = None) -> set[str]:
    """The names of a bundle's files that may be replaced; an error if something else is there."""
    if not out.exists():
        return set()
    if not out.is_dir():
        raise UsageError(f"{out} is a file; name a directory for the bundle")
    with storing(out, "read"):
        if all(path == besides for path in out.iterdir()):
            return set()
    try:
        return {*read(out).files, MANIFEST}
    except BundleError as error:
        raise UsageError(
            f"{out} is not empty and is not a bundle of this version ({error}); name another directory or remove it"
        ) from error


def _stays(out: Path) -> bool:
    """Whether a directory must remain itself: a mount point, the working directory, one in a read-only parent."""
    return os.path.ismount(out) or Path.cwd() == out or not os.access(out.parent, os.W_OK)


def _strangers(folder: Path, out: Path, own: set[str]) -> list[Path]:
    """What the user put into an old bundle; an error if the new one has a file of that name."""
    found = [path for path in out.iterdir() if path.name not in own and path != folder]
    for path in found:
        if (folder / path.name).exists():
            raise UsageError(f"{path} is not the bundle's and would be overwritten; move it or choose another name")
    return found


def _swap(folder: Path, out: Path, own: set[str]) -> None:
    if not out.exists() or not any(out.iterdir()):
        folder.rename(out)
        return
    strangers = _strangers(folder, out, own)
    old = folder.with_name(f"{folder.name}.old")
    out.rename(old)
    try:
        folder.rename(out)
    except OSError:
        old.rename(out)
        raise
    for path in strangers:
        (old / path.name).rename(out / path.name)
    shutil.rmtree(old, ignore_errors=True)


def _fill(folder: Path, out: Path, own: set[str]) -> None:
    """The manifest goes first and comes last: what is without one is no bundle."""
    _strangers(folder, out, own)
    (out / MANIFEST).unlink(missing_ok=True)
    new = {path.name for path in folder.iterdir()}
    for name in sorted(own - new - {MANIFEST}):
        (out / name).unlink(missing_ok=True)
    for name in sorted(new, key=lambda n: n == MANIFEST):
        (folder / name).replace(out / name)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C and a polite kill wait until the body is through: it takes no time, and half of it must not happen."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. A device or a pipe is written as it is."""
    with storing(path):
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            temporary.write_bytes(content)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
