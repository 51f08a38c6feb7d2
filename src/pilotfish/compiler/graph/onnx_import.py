"""ONNX in, :class:`Graph` out: checked, inlined, converted, every shape static, everything constant folded.

ONNX's own tools do what they can: its checker, its function inliner, its version converter, its shape inference
(node by node, so that folded values flow into shapes), and its reference evaluator for folding.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx.reference
import onnx.shape_inference
import onnx.version_converter
from google.protobuf.message import DecodeError

from pilotfish.compiler.graph.ir import Array, Attribute, Graph, Node, TensorType
from pilotfish.errors import (
    ModelError,
    NotAModelError,
    OperatorError,
    StorageError,
    UnboundShapeError,
    UnsupportedOperatorsError,
    UsageError,
)

OPSET = 21
"""Models of older opsets are converted to this one; newer ones are taken as they are."""

_DOMAINS = ("", "ai.onnx")
_NEVER_FOLDED = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
                           "Multinomial", "If", "Loop", "Scan", "QuantizeLinear", "DequantizeLinear"})  # fmt: skip
_ABSORBED = frozenset({"Constant", "Dropout", "Identity", "If", "Shape", "Size"})  # leave no node behind
_ELEMENTS = frozenset(
    {"bool", "float16", "float32", "float64", *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64))}
)
_NESTING = 4  # rounds of inlining: bodies of functions may hold functions
_SMALL = 4096  # elements; larger constants cannot be shapes and are not shown to shape inference

Supported = Callable[[str], bool]
Shapes = Mapping[str, Sequence[int]]


def load(source: Path | str | onnx.ModelProto, *, shapes: Shapes | None = None, supported: Supported) -> Graph:
    """Import an ONNX model.

    ``shapes`` binds inputs to static shapes by name. ``supported`` says which ONNX operators can be compiled.
    Raises :class:`NotAModelError`, :class:`UnsupportedOperatorsError`, :class:`UnboundShapeError`,
    :class:`ModelError`.
    """
    model = _converted(_inlined(read(source), supported))
    return _Importer(model, supported).run(shapes or {})


def read(source: Path | str | onnx.ModelProto) -> onnx.ModelProto:
    """The model of a file, with its external data, checked; or a model that is in memory already, checked."""
    return _checked(_read(source), source)


def _read(source: Path | str | onnx.ModelProto) -> onnx.ModelProto:
    if isinstance(source, onnx.ModelProto):
        return source
    path = Path(source)
    try:
        model = onnx.load(path)
    except FileNotFoundError as error:
        missing = error.filename or path
        raise StorageError(f"cannot read {missing}: no such file") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except DecodeError as error:
        raise NotAModelError(f"{path} is not an ONNX model, or is truncated: {error}") from error
    except onnx.checker.ValidationError as error:  # external data that is missing or outside the folder
        raise NotAModelError(f"{path}: {str(error).strip()}") from error
    except (ValueError, RuntimeError, UnicodeDecodeError) as error:
        raise NotAModelError(f"{path} is not a readable ONNX model: {error}") from error
    if not model.graph.node and not model.graph.output:
        raise NotAModelError(f"{path} is not an ONNX model: it holds no graph")
    return model


def _checked(model: onnx.ModelProto, source: object) -> onnx.ModelProto:
    where = source if isinstance(source, str | Path) else "the model"
    try:
        if model.ByteSize() < 1 << 31:
            onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise NotAModelError(f"{where} is refused by ONNX's checker: {str(error).strip()}") from error
    for tensor in model.graph.initializer:
        expected = int(np.prod(tensor.dims, dtype=np.int64))
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise NotAModelError(f"{where}: the external data of {tensor.name!r} was not loaded")
        if tensor.HasField("raw_data") and tensor.data_type < 17:
            size = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
            if len(tensor.raw_data) != expected * size:
                raise NotAModelError(
                    f"{where}: tensor {tensor.name!r} holds {len(tensor.raw_data)} bytes, its shape "
                    f"{tuple(tensor.dims)} needs {expected * size}; the file is damaged"
                )
    return model


def _opset(model: onnx.ModelProto) -> int:
    return max((o.version for o in model.opset_import if o.domain in _DOMAINS), default=1)


def _inlined(model: onnx.ModelProto, supported: Supported) -> onnx.ModelProto:
    """Without the model's own functions, nor standard operators that are functions and that we do not have."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    for _ in range(_NESTING):
        bodies = _bodies(model, supported)
        if not bodies:
            break
        try:
            model = onnx.inliner.inline_selected_functions(
                _with_defaults(model, bodies), [("", op) for op in sorted(bodies)], inline_schema_functions=True
            )
        except (RuntimeError, ValueError):  # they stay, and are reported as unsupported by name
            break
    return model


def _bodies(model: onnx.ModelProto, supported: Supported) -> set[str]:
    """Operators that we do not have and that ONNX defines by others."""
    version, found = _opset(model), set()
    for node in _all_nodes(model.graph):
        if node.domain in _DOMAINS and not supported(node.op_type):
            try:
                schema = onnx.defs.get_schema(node.op_type, version, "")
            except onnx.defs.SchemaError:
                continue
            if schema.has_function or schema.has_context_dependent_function:  # type: ignore[attr-defined]
                found.add(node.op_type)
    return found


def _with_defaults(model: onnx.ModelProto, ops: set[str]) -> onnx.ModelProto:
    """A copy in which these operators have their default attributes written out: the inliner does not know them."""
    version, changed = _opset(model), onnx.ModelProto()
    changed.CopyFrom(model)
    for node in _all_nodes(changed.graph):
        if node.domain not in _DOMAINS or node.op_type not in ops:
            continue
        present = {attribute.name for attribute in node.attribute}
        for name, attribute in onnx.defs.get_schema(node.op_type, version, "").attributes.items():
            if name not in present and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
                node.attribute.append(attribute.default_value)
    return changed


def _all_nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _all_nodes(attribute.g)


def _converted(model: onnx.ModelProto) -> onnx.ModelProto:
    if _opset(model) >= OPSET:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSET)
    except (RuntimeError, ValueError, IndexError) as error:
        raise ModelError(
            f"the model's opset {_opset(model)} cannot be converted to {OPSET} ({str(error).strip()[:300]}); "
            "export it again with a newer opset"
        ) from error


class _Importer:
    """Walks the nodes once: folds what is constant, infers the type of everything else."""

    def __init__(self, model: onnx.ModelProto, supported: Supported) -> None:
        self.model, self.supported = model, supported
        self.opset = _opset(model)
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, Array] = {}
        self.alias: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.unsupported: dict[str, list[str]] = {}
        self.misfits: list[OperatorError] = []
        self.names: set[str] = set()

    def run(self, shapes: Shapes) -> Graph:
        graph = self.model.graph
        for tensor in graph.initializer:
            self.constant(tensor.name, self.array(tensor))
        if graph.sparse_initializer:
            raise ModelError("sparse initializers are not supported; export the model with dense weights")
        inputs = self.bind(shapes)
        for node in graph.node:
            self.visit(node)
        if self.unsupported:
            raise UnsupportedOperatorsError(self.unsupported)
        if self.misfits:
            raise self.misfits[0]
        outputs = tuple(output.name for output in graph.output)
        for name in outputs:
            self.output(name)
        return (
            Graph(graph.name or "model", inputs, outputs, tuple(self.nodes), self.types, self.constants)
            .pruned()
            .validated()
        )

    def array(self, tensor: onnx.TensorProto) -> Array:
        try:
            array = np.asarray(onnx.numpy_helper.to_array(tensor))
        except (ValueError, TypeError, onnx.checker.ValidationError) as error:
            raise NotAModelError(f"tensor {tensor.name!r} cannot be read: {error}") from error
        if array.dtype.name not in _ELEMENTS:
            raise ModelError(f"tensor {tensor.name!r} has the unsupported element type {array.dtype.name}")
        return array

    def constant(self, name: str, array: Array) -> None:
        array = np.ascontiguousarray(array).reshape(array.shape)
        self.constants[name] = array
        self.types[name] = TensorType(array.dtype, array.shape)

    def bind(self, shapes: Shapes) -> tuple[str, ...]:
        """The types of the graph's inputs, symbolic dimensions bound."""
        inputs, unbound = [], []
        for value in self.model.graph.input:
            if value.name in self.constants:
                continue
            inputs.append(value.name)
            if not value.type.HasField("tensor_type"):
                raise ModelError(f"input {value.name!r} is not a tensor: sequences and optionals are not supported")
            tensor = value.type.tensor_type
            dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim]
            given = shapes.get(value.name)
            if given is not None:
                fits = len(given) == len(dims) and all(
                    isinstance(d, str) or d == g for d, g in zip(dims, given, strict=True)
                )
                if (tensor.HasField("shape") and not fits) or any(g < 1 for g in given):
                    raise UsageError(f"the shape {_x(given)} does not fit input {value.name!r}, which is {_x(dims)}")
                dims = list(given)
            elif not tensor.HasField("shape") or any(isinstance(d, str) for d in dims):
                unbound.append((value.name, dims if tensor.HasField("shape") else ["?"]))
                continue
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            if dtype.name not in _ELEMENTS:
                raise ModelError(f"input {value.name!r} has the unsupported element type {dtype.name}")
            self.types[value.name] = TensorType(np.dtype(dtype), tuple(int(d) for d in dims))
        if unknown := sorted(set(shapes) - set(inputs)):
            raise UsageError(f"no input is called {unknown[0]!r}; the inputs are {', '.join(inputs)}")
        if unbound:
            hints = "\n".join(
                f"  {name} is {_x(dims)}: bind it with --shape "
                f"{name}={'x'.join(str(d) if isinstance(d, int) else '1' for d in dims)}"
                for name, dims in unbound
            )
            raise UnboundShapeError(f"inputs with symbolic dimensions need a shape:\n{hints}")
        return tuple(inputs)

    def visit(self, proto: onnx.NodeProto) -> None:
        op = proto.op_type if proto.domain in _DOMAINS else f"{proto.domain}.{proto.op_type}"
        inputs = tuple(self.alias.get(i, i) for i in proto.input)
        name = self.name(proto, op)
        attrs = {a.name: _attribute(a) for a in proto.attribute}
        present = [i for i in inputs if i]
        if missing := [i for i in present if i not in self.types]:
            if self.unsupported or self.misfits:
                op_known = self.supported(op) or op in _ABSORBED
                if not op_known:
                    self.unsupported.setdefault(op, []).append(name)
                return  # its input comes from a node that was reported
            raise ModelError(f"node {name!r} ({op}) reads {missing[0]!r}, which nothing makes")
        if op == "Identity" or (op == "Dropout" and not self.training(inputs)):
            self.alias[proto.output[0]] = inputs[0]
            if len(proto.output) > 1 and proto.output[1]:
                self.constant(proto.output[1], np.ones(self.types[inputs[0]].shape, np.bool_))
        elif op == "Shape":
            shape = np.array(self.types[inputs[0]].shape, np.int64)
            self.constant(proto.output[0], shape[attrs.get("start", 0) : attrs.get("end", len(shape))])
        elif op == "Size":
            self.constant(proto.output[0], np.array(self.types[inputs[0]].size, np.int64))
        elif op == "If" and inputs[0] in self.constants:
            self.branch(proto, attrs["then_branch" if bool(self.constants[inputs[0]].item()) else "else_branch"])
        elif proto.domain in _DOMAINS and op not in _NEVER_FOLDED and all(i in self.constants for i in present):
            self.fold(proto, name, inputs)
        elif not self.supported(op):
            self.unsupported.setdefault(op, []).append(name)
        else:
            try:
                self.infer(proto, name, inputs)
            except OperatorError as error:  # not before it is known whether operators are missing: they are told first
                self.misfits.append(error)
                return
            self.nodes.append(Node(op, name, inputs, tuple(proto.output), attrs))

    def training(self, inputs: tuple[str, ...]) -> bool:
        """Whether a Dropout is at work; one that is known at run time only may be."""
        if len(inputs) < 3 or not inputs[2]:
            return False
        flag = self.constants.get(inputs[2])
        return flag is None or bool(flag.item())

    def name(self, proto: onnx.NodeProto, op: str) -> str:
        stem = proto.name or (proto.output[0] if proto.output and proto.output[0] else op.lower())
        name = next(
            n for n in itertools.chain([stem], (f"{stem}_{i}" for i in itertools.count(2))) if n not in self.names
        )
        self.names.add(name)
        return name

    def branch(self, proto: onnx.NodeProto, graph: onnx.GraphProto) -> None:
        """A condition that is known: the nodes of its branch, as if they stood here."""
        for tensor in graph.initializer:
            self.constant(tensor.name, self.array(tensor))
        for node in graph.node:
            self.visit(node)
        for outer, inner in zip(proto.output, graph.output, strict=True):
            self.alias[outer] = self.alias.get(inner.name, inner.name)

    def fold(self, proto: onnx.NodeProto, name: str, inputs: tuple[str, ...]) -> None:
        renamed = onnx.NodeProto()
        renamed.CopyFrom(proto)
        del renamed.input[:]
        renamed.input.extend(inputs)
        feeds = {i: self.constants[i] for i in inputs if i}
        try:
            results = evaluate(renamed, feeds, self.opset)
        except Exception as error:  # the evaluator raises whatever NumPy does
            if not self.supported(proto.op_type):
                self.unsupported.setdefault(proto.op_type, []).append(name)
                return
            raise OperatorError(name, proto.op_type, f"constant operands cannot be folded: {error}") from error
        for output, result in zip((o for o in proto.output if o), results, strict=True):
            self.constant(output, np.asarray(result))

    def infer(self, proto: onnx.NodeProto, name: str, inputs: tuple[str, ...]) -> None:
        renamed = onnx.NodeProto()
        renamed.CopyFrom(proto)
        del renamed.input[:]
        renamed.input.extend(inputs)
        present = {i for i in inputs if i}
        try:
            types = onnx.shape_inference.infer_node_outputs(
                onnx.defs.get_schema(proto.op_type, self.opset, proto.domain),
                renamed,
                {i: _type_proto(self.types[i]) for i in present},
                {i: onnx.numpy_helper.from_array(c) for i in present
                 if (c := self.constants.get(i)) is not None and c.size <= _SMALL},
                opset_imports=list(self.model.opset_import),
                ir_version=self.model.ir_version,
            )  # fmt: skip
        except (onnx.shape_inference.InferenceError, onnx.defs.SchemaError, RuntimeError) as error:
            shown = ", ".join(f"{i}: {self.types[i]}" for i in inputs if i)
            raise OperatorError(name, proto.op_type, f"{str(error).strip()} (inputs {shown})") from error
        for output in filter(None, proto.output):
            tensor = types[output].tensor_type if output in types else onnx.TypeProto.Tensor()
            if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
                shown = ", ".join(f"{i}: {self.types[i]}" for i in inputs if i)
                raise OperatorError(
                    name,
                    proto.op_type,
                    f"the shape of {output!r} depends on run-time values (inputs {shown})",
                )
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
            if dtype.name not in _ELEMENTS:
                raise OperatorError(name, proto.op_type, f"{output!r} has the unsupported element type {dtype.name}")
            self.types[output] = TensorType(dtype, tuple(d.dim_value for d in tensor.shape.dim))

    def output(self, name: str) -> None:
        """Make sure that a graph output is a value that a node makes, under its own name."""
        source = self.alias.get(name, name)
        if source not in self.types:
            raise ModelError(f"nothing makes the output {name!r}")
        if self.types[source].dtype.name not in _ELEMENTS:
            dtype = self.types[source].dtype
            raise ModelError(f"output {name!r} has the unsupported element type {dtype.name}")
        if source != name or name in self.constants or name in {i.name for i in self.model.graph.input}:
            constant = self.constants.pop(name, None)
            if constant is not None:
                source = f"{name}.value"
                self.constant(source, constant)
            elif source == name:
                raise ModelError(f"output {name!r} is an input of the same name: there is nothing to compile")
            self.types[name] = self.types[source]
            self.nodes.append(Node("Identity", self.name(onnx.NodeProto(), f"{name}.copy"), (source,), (name,)))


def evaluate(node: onnx.NodeProto, feeds: Mapping[str, Array], opset: int) -> list[Array]:
    """Run one node in ONNX's reference evaluator."""
    graph = onnx.helper.make_graph(
        [node],
        "one",
        [onnx.helper.make_tensor_value_info(k, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
         for k, v in feeds.items()],
        [onnx.ValueInfoProto(name=o) for o in node.output if o],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        results = onnx.reference.ReferenceEvaluator(model).run(None, dict(feeds))
    return list(results)


def _type_proto(type_: TensorType) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(type_.dtype), type_.shape)


def _attribute(attribute: onnx.AttributeProto) -> Attribute:
    value: Any = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, onnx.GraphProto):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value)
    return value


def _x(dims: Iterable[object]) -> str:
    return "x".join(map(str, dims)) or "scalar"
