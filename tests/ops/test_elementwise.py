"""Elementwise operators: alone, in chains, broadcast in every way, against ONNX Runtime; and what fusion promises."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from against_ort import Example, assert_agree, example
from onnx import helper

from pilotfish.compiler import passes, targets
from pilotfish.compiler.ops import body as bodies
from pilotfish.compiler.ops.expressions import Expression
from pilotfish.compiler.passes.elementwise import compose
from pilotfish.pipeline import import_model

node = helper.make_node
UNARY = ("Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Floor", "Erf", "Softplus", "HardSwish", "Softsign", "Sin")
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "Div")
SHAPES = ((1,), (3,), (70,), (2, 70), (5, 3), (4, 1, 9), (3, 5, 33), (2, 3, 4, 5), (1, 8, 1, 300), (2, 1, 3, 1, 2))


def broadcast_shape(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape``: some sizes become one, some leading ones go."""
    narrowed = tuple(1 if rng.random() < 0.4 else size for size in shape)
    return narrowed[rng.integers(0, len(shape)) :] if rng.random() < 0.4 else narrowed


def chain(rng: np.random.Generator, index: int) -> Example:
    """A random tree of some operators over broadcast inputs, constants and single numbers."""
    shape = SHAPES[index % len(SHAPES)]
    feeds = {"x0": rng.standard_normal(shape).astype(np.float32)}
    constants, nodes, value = {}, [], "x0"
    for step in range(int(rng.integers(1, 7))):
        out = f"v{step}"
        if rng.random() < 0.4:
            nodes.append(node(UNARY[rng.integers(len(UNARY))], [value], [out]))
        else:
            kind = rng.integers(4)
            other = f"o{step}"
            operand = rng.uniform(0.5, 2, () if kind == 2 else broadcast_shape(rng, shape)).astype(np.float32)
            if kind == 3 and step:
                other = f"v{rng.integers(step)}"
            elif kind:
                constants[other] = operand
            else:
                feeds[other] = operand
            op = BINARY[rng.integers(len(BINARY))]
            pair = [value, other] if (rng.random() < 0.5 and op != "Div") or kind == 3 else [other, value]
            nodes.append(node("Mul" if op == "Div" and pair[1] == value else op, pair, [out]))
        value = out
    if rng.random() < 0.2:
        nodes.append(node("Greater", [value, "x0"], ["mask"]))
        nodes.append(node("Where", ["mask", value, "x0"], ["y"]))
    else:
        nodes.append(node("Clip", [value, "low", "high"], ["y"]))
        constants |= {"low": np.float32(-50), "high": np.float32(50)}
    return example(f"chain {index}", nodes, feeds, **constants)


def chains() -> list[Example]:
    rng = np.random.default_rng(11)
    return [chain(rng, i) for i in range(80)]


def typed() -> Iterator[Example]:
    """Other element types than float32."""
    rng = np.random.default_rng(5)
    for dtype in (np.int8, np.uint8, np.int32, np.int64, np.float64):
        a, b = (rng.integers(1, 100, (3, 7)).astype(dtype) for _ in range(2))
        for op in ("Add", "Sub", "Mul", "Div"):
            yield example(f"{op} {dtype.__name__}", [node(op, ["a", "b"], ["y"])], {"a": a, "b": b[:1]})
        yield example(f"Equal {dtype.__name__}", [node("Equal", ["a", "b"], ["y"])], {"a": a, "b": a[::-1].copy()})
    a, b = rng.integers(-100, 100, (2, 40)).astype(np.int64)
    for fmod in (0, 1):
        yield example(f"Mod {fmod}", [node("Mod", ["a", "b"], ["y"], fmod=fmod)], {"a": a, "b": b + (b == 0)})
    x = (rng.standard_normal(50) * 100).astype(np.float32)
    for to in (2, 3, 5, 6, 7, 9, 10, 11):
        source = np.clip(x, 0, 255) if to == 2 else np.clip(x, -128, 127) if to == 3 else x  # beyond is undefined
        yield example(f"Cast to {to}", [node("Cast", ["x"], ["y"], to=to)], {"x": source})
    flags = x > 0
    yield example("Cast from bool", [node("Cast", ["x"], ["y"], to=1)], {"x": flags})
    yield example("Not, And, Where", [node("Not", ["m"], ["n"]), node("And", ["n", "k"], ["c"]),
                  node("Where", ["c", "x", "z"], ["y"])],
                  {"m": flags, "k": x < 50, "x": x, "z": x[:1].copy()})  # fmt: skip


@pytest.mark.parametrize(
    ("target", "vlen"), [("host", None), ("rv64gcv", 128), ("rv64gcv", 256), ("rv64gcv", 1024), ("rv64gc", None)]
)
def test_chains_agree_with_onnx_runtime(target: str, vlen: int | None) -> None:
    assert_agree([*chains(), *typed()], targets.load(target), vlen)


def test_a_chain_is_one_loop() -> None:
    nodes = [node("Mul", ["x", "s"], ["a"]), node("Sigmoid", ["a"], ["b"]), node("Mul", ["a", "b"], ["y"])]
    model = example("", nodes, {"x": np.ones((4, 9), np.float32)}, s=np.ones((4, 1), np.float32)).model
    (fused,) = passes.optimize(import_model(model), targets.load("rv64gcv")).nodes
    assert fused.op == "pf.Elementwise"
    assert set(fused.inputs) == {"x", "s"}


def test_a_value_with_two_readers_is_computed_once() -> None:
    nodes = [node("Exp", ["x"], ["e"]), node("Neg", ["e"], ["y"]), node("Reshape", ["e", "shape"], ["z"])]
    shape = np.array([36], np.int64)
    model = example("", nodes, {"x": np.ones((4, 9), np.float32)}, ("y", "z"), shape=shape).model
    graph = passes.optimize(import_model(model), targets.load("rv64gcv"))
    assert [n.op for n in graph.nodes].count("Exp") == 1


def test_composition_keeps_the_meaning() -> None:
    inner = Expression(("a", "b"), (("mul", (0, 1), ()), ("tanh", (2,), ())))
    outer = Expression(("c", "t", "a"), (("add", (0, 1), ()), ("max", (3, 2), ()), ("sub", (4, 1), ())))
    both = compose(outer, 1, inner)
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(5).astype(np.float32) for _ in range(3))
    t = np.tanh(a * b)
    values = {"a": a, "b": b, "c": c}
    got = bodies.meaning(both.body, [values[name] for name in both.inputs])
    np.testing.assert_allclose(got, np.maximum(c + t, a) - t, rtol=1e-5, atol=1e-6)


def test_division_by_a_number_and_product_with_sum_are_simplified() -> None:
    body = (("const", (), (4.0,)), ("div", (0, 2), ()), ("mul", (3, 1), ()), ("add", (4, 0), ()))
    simple, inputs = bodies.simplified(body, ("x", "z"))
    ops = [op for op, _, _ in simple]
    assert "div" not in ops
    assert ops[-1] == "fma"
    x, z = np.float32([1, 2, 3]), np.float32([4, 5, 6])
    values = {"x": x, "z": z}
    np.testing.assert_allclose(bodies.meaning(simple, [values[i] for i in inputs]), x / 4 * z + x, rtol=1e-6)
