"""A float model made ready to be quantized: static, constants folded, batch normalization inside the weights.

What the quantizer does not see as one operator it cannot quantize as one: a batch normalization that stays would round
the values between it and its convolution to 8 bits, and hide from the weights what the channels' real ranges are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import onnx

from pilotfish.compiler.graph import Graph, onnx_export, onnx_import
from pilotfish.compiler.ops import registry
from pilotfish.compiler.passes.affine import fold_affine
from pilotfish.errors import ModelError, UsageError
from pilotfish.measure.quantize.forms import join_bias, means_as_pools

QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul",
                       "ConvInteger", "MatMulInteger"})  # fmt: skip
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose weights quantization makes smaller."""

_LARGEST = (1 << 31) - (1 << 20)  # bytes of a protobuf message, less what is not weights
_F32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Prepared:
    """The float model that is quantized. ``renamed`` says under which name a node of the user's model went on."""

    model: onnx.ModelProto
    graph: Graph
    renamed: Mapping[str, str]

    def node(self, name: str) -> str:
        """The node that a user means; :class:`UsageError` if there is none of that name."""
        if name in self.renamed:
            return self.renamed[name]
        close = get_close_matches(name, self.renamed, 3, 0.5) or list(self.renamed)[:5]
        raise UsageError(f"no node is called {name!r}; there is {', '.join(close)}")


def read(model: Path | str | onnx.ModelProto) -> onnx.ModelProto:
    """The model, checked; :class:`ModelError` if it is quantized already."""
    if not isinstance(model, str | Path | onnx.ModelProto):
        raise UsageError(f"a model is an ONNX file or an onnx.ModelProto, not {type(model).__name__}")
    proto = onnx_import.read(model)
    graphs = [proto.graph.node, *(function.node for function in proto.functions)]
    found = Counter(node.op_type for nodes in graphs for node in _all_nodes(nodes) if _is_quantized(node))
    if found:
        shown = ", ".join(f"{count} {op}" for op, count in found.most_common(3))
        raise ModelError(
            f"{model if isinstance(model, str | Path) else 'the model'} is quantized already ({shown}); "
            "compile it as it is, or quantize the float model that it was made from"
        )
    return proto


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _all_nodes(attribute.g.node)


def _is_quantized(node: onnx.NodeProto) -> bool:
    return node.op_type in QUANTIZED or (node.domain == "com.microsoft" and node.op_type.startswith("QLinear"))


def prepare(proto: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> Prepared:
    """Import, fold and write out again. Raises :class:`ModelError` if there is nothing to quantize, and the importer's.

    ``shapes`` binds inputs with symbolic dimensions.
    """
    imported = onnx_import.load(proto, shapes=shapes, supported=registry.supported)
    graph = means_as_pools(join_bias(fold_affine(imported)))
    weighted = [node for node in graph.nodes if node.op in WEIGHTED]
    if not any(graph.type(node.outputs[0]).dtype == _F32 for node in weighted):
        kinds = sorted({graph.type(node.outputs[0]).dtype.name for node in weighted})
        raise ModelError(
            f"there is nothing to quantize: the model computes in {', '.join(kinds)}; export it in float32"
            if kinds
            else "there is nothing to quantize: the model has no convolution and no matrix product"
        )
    if sum(array.nbytes for array in graph.constants.values()) >= _LARGEST:
        raise ModelError("the model's weights take 2 GB or more; ONNX Runtime's quantizer takes smaller models only")
    opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in proto.opset_import}
    opsets[""] = max(opsets.get("", 1), onnx_import.OPSET)
    return Prepared(onnx_export.to_onnx(graph, opsets), graph, _renamed(imported, graph))


def _renamed(before: Graph, after: Graph) -> dict[str, str]:
    """Name of a node → the node that does its work now: itself, or the one that it was folded into."""
    producers, consumers = after.producers(), before.consumers()
    known = {node.name for node in before.nodes}
    found = {node.name: node.name for node in after.nodes if node.name in known}
    for node in reversed(before.nodes):  # readers first: what was folded away lives on where its output went
        if node.name in found:
            continue
        maker = next((producers[o] for o in node.outputs if o in producers), None)
        while maker is not None and maker.name not in known:  # a Reshape that a rewrite put behind it
            maker = producers[maker.inputs[0]]
        readers = (found.get(r.name) for o in node.outputs for r in consumers.get(o, ()))
        name = maker.name if maker is not None else next(filter(None, readers), None)
        if name:
            found[node.name] = name
    return found


def bound(proto: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int | str, ...]]:
    """The dimensions of the model's inputs by name, those that ``shapes`` binds replaced; a free one is a string."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    found: dict[str, tuple[int | str, ...]] = {}
    for value in proto.graph.input:
        if value.name not in constants:
            dims = value.type.tensor_type.shape.dim
            found[value.name] = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims)
    for name, shape in shapes.items():
        if name not in found:
            raise UsageError(f"no input is called {name!r}; the inputs are {', '.join(found)}")
        own, given = ("x".join(map(str, sizes)) or "scalar" for sizes in (found[name], shape))
        if len(shape) != len(found[name]) or any(
            size < 1 or (isinstance(dim, int) and dim != size) for dim, size in zip(found[name], shape, strict=True)
        ):
            raise UsageError(f"the shape {given} does not fit input {name!r}, which is {own}")
        found[name] = tuple(shape)
    return found
