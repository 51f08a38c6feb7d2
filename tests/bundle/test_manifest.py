"""manifest.json: what is written can be read, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pilotfish.bundle.manifest import (
    FORMAT,
    BufferEntry,
    FileEntry,
    Manifest,
    PlanEntry,
    Sizes,
    StepEntry,
    TensorEntry,
    dumps,
    loads,
)
from pilotfish.compiler import targets
from pilotfish.errors import BundleError

MANIFEST = Manifest(
    name="model",
    model="tiny « net »",
    inputs=(TensorEntry("x", "float32", (1, 3)), TensorEntry("n", "int64", ())),
    outputs=(TensorEntry("y", "float32", (1, 2)),),
    target=targets.load("sifive-x280", attributes="+zbc"),
    plan=PlanEntry(128, 64, (BufferEntry(("a", "b"), 64, 64, 0, 1),)),
    steps=(StepEntry("fc", "Gemm", "f32_igemm_7x4v__rvv", 6),),
    notes=("slow (Loop) runs a scalar loop: it has no vector form",),
    passes=("canonicalize",),
    sizes=Sizes(10, 4, 6, 3, 1),
    versions={"pilotfish": "0.1.0"},
    files={"model.elf": FileEntry("0" * 64, 10)},
)


def test_it_reads_what_it_writes() -> None:
    assert loads(dumps(MANIFEST)) == MANIFEST


def test_the_text_is_what_other_programs_are_told() -> None:
    data = json.loads(dumps(MANIFEST))
    assert data["format"] == FORMAT == 1
    assert data["inputs"][0] == {"name": "x", "dtype": "float32", "shape": [1, 3]}
    assert data["target"]["name"] == "sifive-x280"
    assert data["target"]["cpu"].endswith("+zbc")
    assert data["plan"]["buffers"] == [
        {"names": ["a", "b"], "offset": 64, "bytes": 64, "first_step": 0, "last_step": 1}
    ]
    assert data["steps"] == [{"node": "fc", "op": "Gemm", "kernel": "f32_igemm_7x4v__rvv", "macs": 6}]
    assert data["files"]["model.elf"] == {"sha256": "0" * 64, "bytes": 10}


def changed(path: str, value: Any) -> str:
    data = json.loads(dumps(MANIFEST))
    *parents, last = path.split(".")
    at = data
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", 2, "format 2, this Pilotfish reads format 1"),
        ("format", None, "not the manifest of a Pilotfish bundle"),
        ("name", 3, "manifest.name is not of type str"),
        ("inputs", None, "manifest lacks 'inputs'"),
        ("inputs.0.shape", "3", r"manifest.inputs\[0\].shape"),
        ("inputs.0.shape", [1, True], r"manifest.inputs\[0\].shape\[1\] is not of type int"),
        ("plan.arena_bytes", 1.5, "manifest.plan.arena_bytes is not of type int"),
        ("target.isa", "avx", "manifest.target.isa"),
        ("steps.0.colour", "red", r"manifest.steps\[0\] has the unknown member 'colour'"),
        ("files", [], "manifest.files"),
        ("sizes", 7, "manifest.sizes is not an object"),
    ],
)
def test_another_form_is_refused_in_words(path: str, value: Any, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        loads(changed(path, value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"format"', '{"format": "1"}'])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BundleError):
        loads(text)


def test_every_truncation_is_refused() -> None:
    text = dumps(MANIFEST).rstrip()
    for length in range(len(text)):
        with pytest.raises(BundleError):
            loads(text[:length])


def test_macs_are_those_of_all_steps() -> None:
    assert replace(MANIFEST, steps=MANIFEST.steps * 3).macs == 18
