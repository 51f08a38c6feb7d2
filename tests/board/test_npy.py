"""The C reader and writer of .npy against NumPy's own, on good, damaged and hostile files, under sanitizers."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotfish.board import qemu

RUNTIME = Path(qemu.__file__).parent / "runtime"
DTYPES = ["<f4", "<f8", "<f2", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "|b1"]
NAMES = ["f32", "f64", "f16", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool"]


class Pipe:
    """pf_npy.c in a process of its own; dies if a sanitizer finds something."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, kind: bytes, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(kind + struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()

    def read(self, count: int) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.read(count)

    def parse(self, file: bytes) -> tuple[int, np.ndarray | None]:
        """The status, and the array if that is 0."""
        self.ask(b"P", file)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words, f"the reader died on {file!r}"
        if words[0] != b"0":
            return int(words[0]), None
        rank = int(words[2])
        shape, (offset, size) = [int(w) for w in words[3 : 3 + rank]], map(int, words[3 + rank :])
        dtype = DTYPES[NAMES.index(words[1].decode())]
        return 0, np.frombuffer(file[offset : offset + size], dtype).reshape(shape)

    def header(self, dtype: int, shape: tuple[int, ...]) -> bytes:
        self.ask(b"H", struct.pack(f"<BB{len(shape)}q", dtype, len(shape), *shape))
        return self.read(struct.unpack("<I", self.read(4))[0])


@pytest.fixture(scope="module", params=["gcc -fsanitize=address,undefined", "zig cc -fsanitize=undefined"])
def pipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipe]:
    words = request.param.split()
    if words[0] == "gcc" and shutil.which("gcc") is None:
        pytest.skip("no gcc here")
    command = [sys.executable, "-m", "ziglang", *words[1:]] if words[0] == "zig" else words
    program = tmp_path_factory.mktemp("npy") / "npy_pipe"
    sources = [Path(__file__).with_name("npy_pipe.c"), RUNTIME / "pf_npy.c"]
    flags = ["-std=c11", "-O1", "-g", "-fno-sanitize-recover=all", f"-I{RUNTIME}", "-o", str(program)]
    built = subprocess.run([*command, *flags, *map(str, sources)], capture_output=True, text=True, check=False)
    if words[0] == "gcc" and "cannot find" in built.stderr:
        pytest.skip("this gcc has no sanitizers")
    assert built.returncode == 0, built.stderr
    speaking = Pipe(program)
    with speaking.process:
        yield speaking
    assert speaking.process.returncode == 0


def saved(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=False)
    return file.getvalue()


shapes = st.lists(st.integers(0, 4), max_size=9).map(tuple)
arrays = st.builds(lambda dtype, shape: np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape),
                   st.sampled_from(DTYPES), shapes)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(array=arrays, version=st.sampled_from([(1, 0), (2, 0)]))
def test_what_numpy_writes_is_read(pipe: Pipe, array: np.ndarray, version: tuple[int, int]) -> None:
    status, got = pipe.parse(saved(array, version))
    assert status == 0 and got is not None
    assert got.dtype == array.dtype and got.shape == array.shape
    np.testing.assert_array_equal(got, array)


@settings(max_examples=200, deadline=None)
@given(array=arrays)
def test_what_is_written_numpy_reads(pipe: Pipe, array: np.ndarray) -> None:
    header = pipe.header(DTYPES.index(array.dtype.str), array.shape)
    assert len(header) % 64 == 0
    got = np.load(io.BytesIO(header + array.tobytes()), allow_pickle=False)
    assert got.dtype == array.dtype and got.shape == array.shape
    np.testing.assert_array_equal(got, array)


def test_the_longest_header(pipe: Pipe) -> None:
    shape = (2**63 - 1,) * 9
    header = io.BytesIO(pipe.header(0, shape))
    assert np.lib.format.read_magic(header) == (1, 0)
    assert np.lib.format.read_array_header_1_0(header) == (shape, False, np.dtype("<f4"))


PIECES = [b"'", b'"', b"(", b")", b"{", b"}", b",", b":", b" ", b"\n", b"0", b"1", b"9" * 20, b"-1", b"4294967296",
          b"[", b"True", b"False", b"'descr'", b"'shape'", b"'fortran_order'", b"'<f4'", b"'>f4'", b"'|O'", b"\0",
          b"\xff", b"\\", b"(2, 3)", b"(6,)", b"()", b"1L", b"1_0", b"0x1"]  # fmt: skip


def damaged(rng: random.Random) -> bytes:
    """A small good file with a few random changes in its header; half the time its length field is made right again."""
    array = np.arange(6).astype(rng.choice(DTYPES)).reshape(rng.choice([(2, 3), (6,), (1, 6, 1)]))
    file = saved(array, rng.choice([(1, 0), (2, 0)]))
    start = 10 if file[6] == 1 else 12
    begin, header, data = file[:start], bytearray(file[start : -array.nbytes].rstrip()), array.tobytes()
    for _ in range(rng.randrange(3)):
        at, piece = rng.randrange(len(header) + 1), rng.choice(PIECES)
        change = rng.randrange(5)
        if change == 0:
            header[at : at + 1] = bytes([rng.randrange(256)])
        elif change == 1:
            header[at:at] = piece
        elif change == 2:
            header[at : at + len(piece)] = piece
        elif change == 3:
            del header[at : at + rng.randrange(1, 4)]
        else:
            near = header.find(b"'shape': (") + 10
            header[near : near + rng.randrange(3)] = rng.choice(PIECES)
    if rng.random() < 0.5:
        begin = begin[:8] + len(header).to_bytes(start - 8, "little")
    file = bytearray(begin + header + data)
    if rng.random() < 0.1:
        at = rng.randrange(len(file))
        file[at : at + rng.randrange(4)] = rng.choice([b"", b"\0", b"\xff\xff"])
    return bytes(file)


def test_a_damaged_file_is_refused_or_means_what_numpy_says(pipe: Pipe) -> None:
    rng = random.Random(0)
    accepted = 0
    for _ in range(20_000):
        file = damaged(rng)
        status, got = pipe.parse(file)
        if status:
            continue
        assert got is not None
        want = np.load(io.BytesIO(file), allow_pickle=False)
        assert got.shape == want.shape and got.dtype == want.dtype, file
        assert got.tobytes() == want.tobytes()
        accepted += 1
    assert accepted > 1000


@settings(max_examples=500, deadline=None)
@given(head=st.sampled_from([b"", b"\x93NUMPY", b"\x93NUMPY\x01\0", b"\x93NUMPY\x02\0"]), rest=st.binary(max_size=200))
def test_any_bytes_get_a_status(pipe: Pipe, head: bytes, rest: bytes) -> None:
    status, _ = pipe.parse(head + rest)
    assert 0 <= status <= 8
