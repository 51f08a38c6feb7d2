"""Finding QEMU and starting it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pilotfish.board import apt, qemu
from pilotfish.compiler.targets import load
from pilotfish.errors import ToolError, ToolMissingError, UsageError

TOOL = qemu.Qemu(("/opt/qemu-riscv64",), "7.2.22", supports_plugins=True)


def pretend(folder: Path, version: str, option: str = "-plugin") -> Path:
    """A program that says it is a QEMU."""
    script = folder / "qemu-riscv64"
    script.write_text(f"#!/bin/sh\necho 'qemu-riscv64 version {version} (Debian)'\necho '{option}    a thing'\n")
    script.chmod(0o755)
    return script


def test_the_one_that_is_named_comes_first_then_the_path_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / name for name in ("named", "path", "cache/usr/bin")]
    for version, place in enumerate(places, start=7):
        place.mkdir(parents=True)
        pretend(place, f"{version}.1.2")
    monkeypatch.setattr(apt, "bring", lambda package, _, release: {"qemu-user": tmp_path / "cache"}[package])
    monkeypatch.setenv("PATH", f"{places[1]}:/usr/bin:/bin")
    monkeypatch.setenv("PILOTFISH_QEMU", str(places[0] / "qemu-riscv64"))
    assert qemu.find().version == "7.1.2"
    monkeypatch.delenv("PILOTFISH_QEMU")
    assert qemu.find() == qemu.Qemu((str(places[1] / "qemu-riscv64"),), "8.1.2", supports_plugins=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert qemu.find().version == "9.1.2"


def test_a_qemu_that_cannot_serve_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTFISH_QEMU", str(tmp_path / "none"))
    with pytest.raises(ToolError, match=r"cannot run .*none"):
        qemu.find()
    for folder, version, words in (("a", "6.2.0", r"7\.0 or newer"), ("b", "unknown", "is not QEMU")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv("PILOTFISH_QEMU", str(pretend(tmp_path / folder, version)))
        with pytest.raises(ToolError, match=words):
            qemu.find()


def test_counting_takes_debian_12_s_if_this_machine_s_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought = {"bookworm": tmp_path / "cache"}
    (tmp_path / "cache/usr/bin").mkdir(parents=True)
    pretend(tmp_path / "cache/usr/bin", "7.2.22")
    monkeypatch.setattr(apt, "bring", lambda package, _, release: brought[release])
    monkeypatch.delenv("PILOTFISH_QEMU", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for number, (version, option) in enumerate((("10.0.2", "-plug"), ("9.2.0", "-plugin"))):
        (tmp_path / str(number)).mkdir()
        own = pretend(tmp_path / str(number), version, option)
        monkeypatch.setenv("PATH", f"{own.parent}:/usr/bin:/bin")
        assert qemu.find().version == version
        assert qemu.find_counting().version == "7.2.22"
    monkeypatch.setenv("PILOTFISH_QEMU", str(own))
    with pytest.raises(ToolError, match=r"9\.2\.0 .* speaks another plugin interface(.|\n)*set PILOTFISH_QEMU"):
        qemu.find_counting()


def test_without_any_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PILOTFISH_QEMU", raising=False)
    monkeypatch.setenv("PILOTFISH_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match=r"has no apt-get(.|\n)*apt-get install qemu-user(.|\n)*PILOTFISH_QEMU"):
        qemu.find()


def test_plugins_are_seen_in_the_help_text(tmp_path: Path) -> None:
    assert not qemu.probe((str(pretend(tmp_path, "10.0.2", "-plug")),)).supports_plugins


def test_commands() -> None:
    vectors = load("rv64gcv")
    start = ["/opt/qemu-riscv64", "-cpu", "rv64,v=true,vext_spec=v1.0,vlen=256"]
    assert TOOL.command(vectors) == start
    assert TOOL.command(vectors, 512)[2].endswith(",vlen=512")
    assert TOOL.command(vectors, plugin="x.so,out=y") == [*start, "-plugin", "x.so,out=y"]
    assert "vlen" not in TOOL.command(load("rv64gc"), 512)[2]
    assert TOOL.command(load("host")) == []


@pytest.mark.parametrize("vlen", [0, 64, 300, 2048])
def test_lengths_that_qemu_cannot_emulate(vlen: int) -> None:
    with pytest.raises(UsageError, match=f"not {vlen}"):
        TOOL.command(load("rv64gcv"), vlen)


def test_a_plugin_needs_a_qemu_that_loads_them() -> None:
    with pytest.raises(ToolError, match="built without plugins"):
        replace(TOOL, supports_plugins=False).command(load("rv64gcv"), plugin="x.so")


@pytest.mark.parametrize(
    ("version", "properties"),
    [("7.2.22", ["Zfh=true"]), ("8.2.0", ["Zfh=true", "x-zvfh=true"]), ("10.0.1", ["zfh=true", "zvfh=true"])],
)
def test_vectors_of_float16_have_other_names_from_version_to_version(version: str, properties: list[str]) -> None:
    cpu = qemu.Qemu(("qemu",), version, False).command(load("spacemit-k1"))[2]
    assert [p for p in cpu.split(",") if "fh" in p] == properties
