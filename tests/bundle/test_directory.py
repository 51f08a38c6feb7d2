"""A bundle's directory: written whole or not at all, and checked when it is opened."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest
from test_manifest import MANIFEST

from pilotfish import bundle
from pilotfish.bundle import directory, staging
from pilotfish.errors import BundleError, StorageError, UsageError


def write(out: Path, **contents: bytes) -> None:
    """Make a bundle of those files (``_`` for ``.`` in names)."""
    with bundle.staged(out) as folder:
        for name, content in contents.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        files = {path.name: bundle.fingerprint(path) for path in folder.iterdir()}
        (folder / bundle.MANIFEST).write_text(bundle.dumps(bundle.Manifest(**{**vars(MANIFEST), "files": files})))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != bundle.MANIFEST}


def test_a_fingerprint_is_sha256_and_size(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert bundle.fingerprint(file) == bundle.FileEntry(
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3
    )


def test_a_new_bundle_appears_whole_with_its_parents(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b" / "out"
    with bundle.staged(out) as folder:
        assert not out.exists()
        assert folder.parent == out.parent
    assert out.is_dir()
    assert names(out.parent) == ["out"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o777 & ~umask


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "x"), KeyboardInterrupt(), SystemExit(143), BundleError("x")])
def test_nothing_is_left_if_making_it_fails(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), bundle.staged(tmp_path / "a" / "out") as folder:
        (folder / "half").write_bytes(b"x")
        raise error
    assert names(tmp_path) == []


@pytest.mark.parametrize("where", ["beside", "within"])
def test_an_old_bundle_stays_until_the_new_one_is_complete(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write(out, old_elf=b"old", weights_bin=b"1")
    (out / "mine.txt").write_bytes(b"a user's")
    if where == "within":  # the shell that stands in it must not find itself in a directory that is gone
        monkeypatch.chdir(out)
    before, place = content(out), out.stat().st_ino
    with pytest.raises(KeyboardInterrupt), bundle.staged(out) as folder:
        (folder / "new.elf").write_bytes(b"new")
        raise KeyboardInterrupt
    assert content(out) == before
    bundle.open_checked(out)
    write(out, new_elf=b"new", weights_bin=b"2")
    assert content(out) == {"new.elf": b"new", "weights.bin": b"2", "mine.txt": b"a user's"}
    bundle.open_checked(out)
    assert names(tmp_path) == ["out"]
    assert (out.stat().st_ino == place) == (where == "within")


def test_a_link_to_a_bundle_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(tmp_path / "link", a_elf=b"1")
    write(tmp_path / "link", a_elf=b"2")
    assert (tmp_path / "link").is_symlink()
    assert content(tmp_path / "real") == {"a.elf": b"2"}


@pytest.mark.parametrize("where", ["beside", "within"])
def test_an_empty_directory_is_taken(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    if where == "within":
        monkeypatch.chdir(tmp_path / "out")
    write(tmp_path / "out", a_elf=b"1")
    assert content(tmp_path / "out") == {"a.elf": b"1"}


@pytest.mark.parametrize("where", ["beside", "within"])
def test_what_is_not_a_bundle_is_not_touched(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_bytes(b"x")
    if where == "within":
        monkeypatch.chdir(out)
    with pytest.raises(UsageError, match="is not empty and is not a bundle"):
        write(out, a_elf=b"1")
    (out / "manifest.json").write_text('{"name": "a web application"}')
    with pytest.raises(UsageError, match="is not empty and is not a bundle"):
        write(out, a_elf=b"1")
    assert names(out) == ["manifest.json", "thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        write(out / "thesis.tex", a_elf=b"1")
    assert (out / "thesis.tex").read_bytes() == b"x"


def test_a_users_file_of_a_new_files_name_is_not_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "out", a_elf=b"1")
    (tmp_path / "out" / "b.elf").write_bytes(b"a user's")
    with pytest.raises(UsageError, match=r"b\.elf is not the bundle's"):
        write(tmp_path / "out", b_elf=b"2")
    assert content(tmp_path / "out") == {"a.elf": b"1", "b.elf": b"a user's"}


def test_a_parent_that_is_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        write(tmp_path / "file" / "out", a_elf=b"1")


def test_a_failed_swap_brings_the_old_bundle_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write(out, a_elf=b"1")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == out and not self.name.endswith(".old"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(staging.Path, "rename", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        write(out, a_elf=b"2")
    monkeypatch.undo()
    bundle.open_checked(out)
    assert content(out) == {"a.elf": b"1"}
    assert names(tmp_path) == ["out"]


def test_a_changed_or_missing_file_is_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, a_elf=b"program", b_bin=b"weights")
    assert set(bundle.open_checked(out).files) == {"a.elf", "b.bin"}
    (out / "a.elf").write_bytes(b"pr0gram")
    with pytest.raises(BundleError, match=r"a\.elf was changed .* other content"):
        bundle.open_checked(out)
    (out / "a.elf").write_bytes(b"program+")
    with pytest.raises(BundleError, match="has 8 bytes, not 7"):
        bundle.open_checked(out)
    (out / "a.elf").unlink()
    with pytest.raises(BundleError, match=r"lacks a\.elf"):
        bundle.open_checked(out)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such directory"):
        bundle.open_checked(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"it has no manifest\.json"):
        bundle.open_checked(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleError, match="damaged"):
        bundle.open_checked(tmp_path)


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    write(tmp_path / "out", a_elf=b"1")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"a.elf"', '"../a.elf"'))
    with pytest.raises(BundleError, match="is not a file name"):
        bundle.open_checked(tmp_path / "out")
    (tmp_path / "a.elf").write_bytes(b"a user's")
    with pytest.raises(UsageError, match="is not a file name"):
        write(tmp_path / "out", b_elf=b"2")
    assert (tmp_path / "a.elf").exists()


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "y.npy"
    bundle.replace_file(file, b"one")
    bundle.replace_file(file, b"two")
    assert file.read_bytes() == b"two"
    assert names(tmp_path) == ["y.npy"]
    with pytest.raises(StorageError, match="No space left"):
        bundle.replace_file(Path("/dev/full"), b"x")
    with pytest.raises(StorageError, match="cannot write"):
        bundle.replace_file(tmp_path / "no" / "y.npy", b"x")


def test_hashes_are_those_of_hashlib(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(bytes(range(256)) * 5000)
    assert directory.fingerprint(file).sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
