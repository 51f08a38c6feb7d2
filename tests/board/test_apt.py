"""The private apt, against a package archive that the test makes: no network, nothing of the machine's own apt used."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pilotfish.board import apt, qemu
from pilotfish.errors import PilotfishError, StorageError, ToolError, ToolMissingError

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="no apt here"
)


def publish(archive: Path, name: str, depends: str, files: dict[str, str]) -> Path:
    """Builds a package and adds it to the archive's (unsigned) lists."""
    tree = archive / name
    (tree / "DEBIAN").mkdir(parents=True)
    for file, content in files.items():
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text(content)
        (tree / file).chmod(0o755)
    control = f"Package: {name}\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: A <a@example.org>\n"
    control += f"Description: a test\n{f'Depends: {depends}' if depends else 'Section: misc'}\n"
    (tree / "DEBIAN" / "control").write_text(control)
    package = archive / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(tree), str(package)], check=True, capture_output=True)
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    with (archive / "Packages").open("a") as lists:
        lists.write(f"{control}Filename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {digest}\n\n")
    packages = (archive / "Packages").read_bytes()
    (archive / "Packages.gz").write_bytes(gzip.compress(packages))
    rows = [
        f" {hashlib.sha256(data).hexdigest()} {len(data)} {file}"
        for file, data in (("Packages", packages), ("Packages.gz", (archive / "Packages.gz").read_bytes()))
    ]
    (archive / "Release").write_text("Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n" + "\n".join(rows) + "\n")
    return package


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of a program and a library it depends on, as the only source; an empty cache."""
    made = tmp_path / "archive"
    publish(made, "pf-library", "", {"usr/lib/pf/libpf.txt": "library"})
    publish(made, "pf-probe", "pf-library", {"usr/bin/pf-probe": "#!/bin/sh\necho probe\n"})
    monkeypatch.setenv("PILOTFISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PILOTFISH_APT_MIRROR", f"deb [trusted=yes] copy:{made} ./")
    return made


def left(tmp_path: Path) -> set[str]:
    return {p.name for p in (tmp_path / "cache" / "apt").iterdir()} - {"home", "lock"}


def test_a_package_comes_with_what_it_depends_on(archive: Path, tmp_path: Path) -> None:
    said: list[str] = []
    root = apt.bring("pf-probe", said.append)
    assert (root / "usr/bin/pf-probe").read_text().endswith("echo probe\n")
    assert (root / "usr/lib/pf/libpf.txt").read_text() == "library"
    digest = hashlib.sha256((archive / "pf-probe.deb").read_bytes()).hexdigest()
    assert digest in [row["sha256"] for row in json.loads((root / "packages.json").read_text())]
    assert any("downloading pf-probe" in line for line in said)
    assert left(tmp_path) == {root.name}


def test_the_second_time_nothing_is_asked(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = apt.bring("pf-probe")
    shutil.rmtree(archive)
    monkeypatch.setenv("PATH", "")
    assert apt.bring("pf-probe", pytest.fail) == first


def test_what_a_killed_process_left_is_no_hindrance(archive: Path, tmp_path: Path) -> None:
    root = apt.bring("pf-probe")
    (root / "packages.json").unlink()  # as if unpacking had not come to its end
    (root.parent / f".{root.name}.half").mkdir()
    assert apt.bring("pf-probe") == root
    assert (root / "usr/bin/pf-probe").exists() and left(tmp_path) == {root.name}


@pytest.mark.parametrize("at", ["reading", "downloading", "unpacking pf-probe: 2"])
def test_an_interrupt_leaves_nothing_half_made(archive: Path, tmp_path: Path, at: str) -> None:
    def interrupt(line: str) -> None:
        if line.startswith(at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apt.bring("pf-probe", interrupt)
    assert left(tmp_path) == set()
    assert (apt.bring("pf-probe") / "usr/bin/pf-probe").exists()


def refused(package: str, kind: type[PilotfishError], words: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=words):
        apt.bring(package)
    assert left(tmp_path) == set()


def test_a_package_that_is_not_there(archive: Path, tmp_path: Path) -> None:
    refused("pf-other", ToolMissingError, "Unable to locate package pf-other", tmp_path)


def test_an_archive_that_is_not_there(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTFISH_APT_MIRROR", "http://127.0.0.1:9/debian")
    refused("pf-probe", ToolMissingError, r"offline or needs a proxy(.|\n)*127\.0\.0\.1", tmp_path)


def test_an_archive_that_nobody_signed(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTFISH_APT_MIRROR", f"deb copy:{archive} ./")
    refused("pf-probe", ToolMissingError, "is not signed", tmp_path)


def test_a_package_that_was_changed(archive: Path, tmp_path: Path) -> None:
    content = bytearray((archive / "pf-probe.deb").read_bytes())
    content[-20] ^= 1
    (archive / "pf-probe.deb").write_bytes(content)
    refused("pf-probe", ToolMissingError, "Hash Sum mismatch", tmp_path)


def test_a_machine_without_apt(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="has no apt-get"):
        apt.bring("pf-probe")


def test_a_cache_that_cannot_be_written(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PILOTFISH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StorageError, match="PILOTFISH_CACHE"):
        apt.bring("pf-probe")


def test_a_program_that_lacks_libraries_starts_by_the_loader_that_came_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = tmp_path / "lib64" / "ld-linux-x86-64.so.2"
    loader.parent.mkdir()
    (tmp_path / "none").write_text("#!/of/another/machine\n")
    (tmp_path / "none").chmod(0o755)
    with pytest.raises(ToolError, match="no dynamic loader"):
        apt.start(tmp_path, tmp_path / "none")
    loader.touch()
    (tmp_path / "usr" / "lib" / "abi").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "abi" / "libx.so.1").touch()
    start = apt.start(tmp_path, tmp_path / "none")
    assert start[:2] == (str(loader), "--library-path") and start[3] == str(tmp_path / "none")
    assert str(tmp_path / "usr" / "lib" / "abi") in start[2].split(":")
    own = shutil.which("ls")
    assert own is not None and apt.start(tmp_path, Path(own)) == (own,)


@pytest.mark.large
def test_the_distribution_s_own_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the network, from the mirror of this machine."""
    monkeypatch.setenv("PILOTFISH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PILOTFISH_QEMU", raising=False)
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in map(Path, os.environ["PATH"].split(":")):
        for tool in folder.glob("*") if folder.is_dir() else ():
            if not tool.name.startswith("qemu") and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    monkeypatch.setenv("PATH", str(tools))
    found = qemu.find()
    assert found.start[-1].startswith(str(tmp_path)) and int(found.version.split(".")[0]) >= 7
