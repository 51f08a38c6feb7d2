"""Inputs: names, shapes and dtypes checked; files read as what they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pilotfish.bundle import TensorEntry
from pilotfish.bundle.tensors import checked, load
from pilotfish.errors import InputError, StorageError

X = TensorEntry("x", "float32", (1, 2, 3))
N = TensorEntry("n", "int64", ())
GREY = TensorEntry("image", "float32", (1, 1, 4, 6))
COLOUR = TensorEntry("image", "float32", (1, 3, 2, 2))


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def test_one_inference_and_a_batch() -> None:
    arrays, batch = checked({"x": floats(1, 2, 3), "n": np.int64(7)}, [X, N])
    assert batch is None
    assert {k: v.shape for k, v in arrays.items()} == {"x": (1, 1, 2, 3), "n": (1,)}
    arrays, batch = checked({"n": np.array([7, 8]), "x": floats(2, 1, 2, 3)}, [X, N])
    assert batch == 2
    assert list(arrays) == ["x", "n"]
    np.testing.assert_array_equal(arrays["x"][1], floats(2, 1, 2, 3)[1])


def test_order_and_byte_order_in_memory_do_not_matter() -> None:
    turned = np.asfortranarray(floats(1, 2, 3)).astype(">f4")
    array = checked({"x": turned}, [X])[0]["x"]
    assert array.flags.c_contiguous
    assert array.dtype.byteorder in "<="
    np.testing.assert_array_equal(array[0], floats(1, 2, 3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"input 'x' is missing: expected x: float32\[1x2x3\]; n: int64\[\]"),
        ({"x": floats(1, 2, 3), "m": 0}, r"no input is called 'm': expected x: float32\[1x2x3\]; n: int64\[\]"),
        ({"x": floats(2, 3), "n": np.int64(1)}, r"'x' is float32\[2x3\], expected x: float32\[1x2x3\]"),
        ({"x": floats(1, 3, 2), "n": np.int64(1)}, r"'x' is float32\[1x3x2\], expected"),
        ({"x": floats(0, 1, 2, 3), "n": np.int64(1)}, r"'x' is float32\[0x1x2x3\], expected"),
        (
            {"x": floats(1, 2, 3).astype(np.float64), "n": np.int64(1)},
            r"'x' is float64\[1x2x3\], expected dtype float32",
        ),
        ({"x": floats(1, 2, 3), "n": 1.5}, r"'n' is float64\[\], expected dtype int64"),
        ({"x": [["a"]], "n": np.int64(1)}, r"expected dtype float32"),
        ({"x": floats(2, 1, 2, 3), "n": np.int64(1)}, r"not of one batch \(x: 2, n: one inference\)"),
        ({"x": floats(2, 1, 2, 3), "n": np.zeros(3, np.int64)}, r"not of one batch \(x: 2, n: 3\)"),
    ],
)
def test_a_wrong_input_is_named_with_what_is_expected(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        checked(given, [X, N])


def test_npy_files_are_taken_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", floats(5, 1, 2, 3))
    array, _ = load(tmp_path / "x.npy", X)
    np.testing.assert_array_equal(array, floats(5, 1, 2, 3))
    content = (tmp_path / "x.npy").read_bytes()
    for length in (0, 5, 9, 40, len(content) - 1):
        (tmp_path / "x.npy").write_bytes(content[:length])
        with pytest.raises(InputError):
            load(tmp_path / "x.npy", X)


def test_a_pickle_is_never_unpacked(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        load(tmp_path / "x.npy", X)


def test_raw_bytes(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(floats(1, 2, 3).astype("<f4").tobytes())
    array, how = load(tmp_path / "x.raw", X)
    np.testing.assert_array_equal(array, floats(1, 2, 3))
    assert "24 raw bytes as float32" in how
    (tmp_path / "x.raw").write_bytes(floats(2, 1, 2, 3).tobytes())
    assert load(tmp_path / "x.raw", X)[0].shape == (2, 1, 2, 3)
    for bad in (b"", b"123", bytes(25)):
        (tmp_path / "x.raw").write_bytes(bad)
        with pytest.raises(InputError, match=rf"has {len(bad)} bytes; input x: float32\[1x2x3\] takes 24"):
            load(tmp_path / "x.raw", X)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot read .*none\.npy: No such file"):
        load(tmp_path / "none.npy", X)
    with pytest.raises(StorageError, match="directory"):
        load(tmp_path, X)


def saved(folder: Path, image: Image.Image, name: str = "i.png") -> Path:
    image.save(folder / name)
    return folder / name


def test_a_grey_image_of_the_right_size_is_only_scaled(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6) * 11
    array, how = load(saved(tmp_path, Image.fromarray(pixels)), GREY)
    np.testing.assert_array_equal(array, (pixels / 255).astype(np.float32)[None, None])
    assert array.dtype == np.float32
    assert "divided by 255" in how
    assert "resized" not in how
    assert "to grey" not in how


def test_colours_become_planes(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [51, 102, 204]]], np.uint8)
    array, _ = load(saved(tmp_path, Image.fromarray(pixels)), COLOUR)
    want = [[[[1, 0], [0, 0.2]], [[0, 1], [0, 0.4]], [[0, 0], [1, 0.8]]]]
    np.testing.assert_allclose(array, np.array(want, np.float32), atol=1e-7)


def test_colour_to_grey_follows_bt601(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[..., :] = (200, 100, 50)
    array, how = load(saved(tmp_path, Image.fromarray(pixels)), GREY)
    np.testing.assert_allclose(array, (0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255, atol=1 / 255)
    assert "to grey" in how


def test_an_image_is_resized_to_the_input(tmp_path: Path) -> None:
    array, how = load(saved(tmp_path, Image.new("L", (60, 40), 77)), GREY)
    np.testing.assert_allclose(array, 77 / 255, rtol=1e-6)
    assert array.shape == (1, 1, 4, 6)
    assert "60x40 L" in how
    assert "resized to 6x4" in how


def test_sixteen_bits_and_transparency(tmp_path: Path) -> None:
    deep = np.full((4, 6), 0x8080, np.uint16)
    np.testing.assert_allclose(load(saved(tmp_path, Image.fromarray(deep)), GREY)[0], 0x80 / 255, rtol=1e-6)
    clear = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    np.testing.assert_array_equal(load(saved(tmp_path, clear), GREY)[0], 1)  # over white paper


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (TensorEntry("i", "float32", (2, 2, 3)), "1 or 3 channels"),
        (TensorEntry("i", "float32", (1, 4, 5, 5)), "1 or 3 channels"),
        (TensorEntry("i", "float32", (2, 3, 5, 5)), "does not fit"),
        (TensorEntry("i", "int64", (1, 1, 5, 5)), "its dtype must be float32 or uint8"),
    ],
)
def test_inputs_that_no_image_fits(tmp_path: Path, tensor: TensorEntry, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(saved(tmp_path, Image.new("L", (5, 5))), tensor)


def test_bytes_stay_bytes(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    array, how = load(saved(tmp_path, Image.fromarray(pixels)), TensorEntry("i", "uint8", (4, 6)))
    np.testing.assert_array_equal(array, pixels)
    assert "divided" not in how


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(content, "png")
    (tmp_path / "i.png").write_bytes(content.getvalue()[:700])
    with pytest.raises(InputError, match="damaged image"):
        load(tmp_path / "i.png", GREY)
