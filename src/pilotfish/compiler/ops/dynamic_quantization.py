"""Models quantized while they run: DynamicQuantizeLinear, MatMulInteger and ConvInteger, as generated loops.

Their scales and zero points are computed, so that nothing can be folded into packed weights. All are plain C loops
which clang vectorizes where the target has vectors; sums wrap in 32 bits, as ONNX's do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pilotfish.compiler.graph import Graph, Node, TensorType
from pilotfish.compiler.graph.ir import Array
from pilotfish.compiler.kernels.program import View
from pilotfish.compiler.ops.loops import Nest, broadcast_strides, indent, pointer, text
from pilotfish.compiler.ops.lowering import Lowering, dense_strides
from pilotfish.compiler.ops.registry import Operator
from pilotfish.compiler.ops.window import resolved_pads

_BYTES = (np.dtype(np.int8), np.dtype(np.uint8))
_DEPTH_BLOCK = 4  # rows of the right side in one pass over the sums, which are loaded and stored once for it
_LANES = 32  # elements of which each has its own minimum: a minimum over all is no loop that clang vectorizes
_SUMS = 256  # sums kept on the stack, where clang sees that no operand shares their memory


def lower_quantize(node: Node, low: Lowering) -> None:
    """Minimum and maximum, then the parameters, then the bytes.

    The rounding is that of adding 1.5 * 2^23, which leaves the nearest even integer in the low bits: a cast would
    be scalar. All zeros have the scale 1, as in ONNX Runtime; ONNX's formula divides zero by zero.
    """
    x = low.view(node.inputs[0])
    y, scale, zero = (low.out(output) if output else None for output in (*node.outputs, "", "")[:3])
    size = x.type.size
    outs = [v for v in (y, scale, zero) if v is not None]
    lines = [pointer("x", 0, x.type.dtype)]
    for place, (name, view) in enumerate([(n, v) for n, v in zip("yst", (y, scale, zero), strict=True) if v], 1):
        lines.append(pointer(name, place, view.type.dtype, const=False))
    whole = size - size % _LANES
    pick = "{0} = {1} {2} {0} ? {1} : {0};"
    lines += ["float low = 0, high = 0;"]
    if whole:
        lines += [
            f"float lows[{_LANES}] = {{0}}, highs[{_LANES}] = {{0}};",
            f"PF_ROLLED for (int64_t i = 0; i < {whole}; i += {_LANES}) {{",
            f"    for (int j = 0; j < {_LANES}; j++) {{",
            f"        {pick.format('lows[j]', 'x[i + j]', '<')}",
            f"        {pick.format('highs[j]', 'x[i + j]', '>')}",
            "    }",
            "}",
            f"PF_ROLLED for (int j = 0; j < {_LANES}; j++) {{",
            f"    {pick.format('low', 'lows[j]', '<')}",
            f"    {pick.format('high', 'highs[j]', '>')}",
            "}",
        ]
    if whole < size:
        lines += [
            f"PF_ROLLED for (int64_t i = {whole}; i < {size}; i++) {{",
            f"    {pick.format('low', 'x[i]', '<')}",
            f"    {pick.format('high', 'x[i]', '>')}",
            "}",
        ]
    lines += [
        "const float scale = low == high ? 1.0f : (high - low) / 255.0f;",
        "const int32_t zero = pf_to_uint8_t(pf_rint(-low / scale));",
    ]
    if scale is not None:
        lines.append("*s = scale;")
    if zero is not None:
        lines.append("*t = (uint8_t)zero;")
    if y is not None:
        lines += [
            f"for (int64_t i = 0; i < {size}; i++) {{",
            "    float q = x[i] / scale;",
            "    q = q > -512.0f ? q : -512.0f;",
            "    q = q < 512.0f ? q : 512.0f;",
            "    const union {",
            "        float real;",
            "        int32_t bits;",
            "    } rounded = {q + 0x1.8p23f};",
            "    const int32_t at = rounded.bits - 0x4B400000 + zero;",
            "    y[i] = (uint8_t)PF_MIN(PF_MAX(at, 0), 255);",
            "}",
        ]
    low.generated(node, "dynamicquantizelinear", text(lines), [x, *outs])


def lower_matmul(node: Node, low: Lowering) -> None:
    """Row by row: sums of all columns grow together, some rows of the right side at a time.

    The right side's zero points leave the inner loop: what they take away is the row's sum times each of them.
    """
    a, b, za, zb = _operands(node, low)
    out = low.out(node.outputs[0])
    if out.type.size == 0:
        return
    left, right = _matrix(a, (1, -1)), _matrix(b, (-1, 1))
    depth, columns = right.type.shape[-2:]
    batch = np.broadcast_shapes(left.type.shape[:-2], right.type.shape[:-2])
    shape = (*batch, left.type.shape[-2])
    # Each operand moves with the batch and the row, not with the column.
    strides = [
        broadcast_strides(_rows(left), shape),
        (*broadcast_strides(_batch(right), batch), 0),
        broadcast_strides(_rows(_zero_points(za, (-1, 1))), shape) if za else (0,) * len(shape),
        (*broadcast_strides(_batch(_zero_points(zb, (1, -1))), batch), 0) if zb else (0,) * len(shape),
        tuple(s * columns for s in dense_strides(shape)),
    ]
    nest = Nest.of(shape, strides)
    loops = len(nest.dims)
    views = [v for v in (a, b, za, zb) if v is not None]
    names = [n for n, v in zip(("a", "b", "za", "zb"), (a, b, za, zb), strict=True) if v is not None]
    lines = [pointer(name, i, view.type.dtype) for i, (name, view) in enumerate(zip(names, views, strict=True))]
    lines.append(f"uint32_t *const y = (uint32_t *)buf[{len(views)}];")

    def places(operand: int) -> str:
        return nest.at(operand, loops)

    width = min(columns, _SUMS)
    end = f"PF_MIN({columns} - start, {width})" if columns > width else f"{width}"
    loop = f"for (int64_t n = 0; n < {'end' if columns > width else width}; n++)"
    blocked = depth - depth % _DEPTH_BLOCK
    strip = [
        f"const {_c(b)} *const right = b{places(1)} + start;",
        f"const int64_t end = {end};" if columns > width else "",
        f"uint32_t sums[{width}] = {{0}};",
        "uint32_t total = 0;" if zb else "",
    ]
    if blocked:
        strip += _step(_DEPTH_BLOCK, 0, blocked, columns, loop, _c(b), total=zb is not None)
    if blocked < depth:
        strip += _step(1, blocked, depth, columns, loop, _c(b), total=zb is not None)
    if zb:
        many = _zero_points(zb, (1, -1)).type.shape[-1] > 1
        strip += [
            f"const {_c(zb)} *const zeros = zb{places(3)}{' + start' if many else ''};",
            f"{loop} sums[n] -= total * (uint32_t)zeros[{'n' if many else '0'}];",
        ]
    strip.append(f"{loop} to[start + n] = sums[n];")
    body = [
        f"const {_c(a)} *const row = a{places(0)};",
        f"uint32_t *const to = y{places(4)};",
        f"const int32_t zero = {f'za[0{places(2)}]' if za else '0'};",
        f"PF_ROLLED for (int64_t start = 0; start < {columns}; start += {width}) {{",
        *indent([line for line in strip if line]),
        "}",
    ]
    low.generated(node, "matmulinteger", text([*lines, *nest.wrap(loops, body)]),
                  [*views, out])  # fmt: skip


def _step(block: int, start: int, end: int, columns: int, loop: str, kind: str, *, total: bool) -> list[str]:
    """The loop over ``block`` rows of the right side at a time."""
    lines = []
    for j in range(block):
        lines.append(f"const uint32_t a{j} = (uint32_t)(row[k + {j}] - zero);")
        lines.append(f"const {kind} *const b{j} = right + (k + {j}) * {columns};")
    if total:
        lines.append(f"total += {' + '.join(f'a{j}' for j in range(block))};")
    lines.append(f"{loop} sums[n] += {' + '.join(f'a{j} * (uint32_t)b{j}[n]' for j in range(block))};")
    return [f"PF_ROLLED for (int64_t k = {start}; k < {end}; k += {block}) {{", *indent(lines), "}"]


def lower_conv(node: Node, low: Lowering) -> None:
    """Planes first: each row of an output plane is the sum of its taps' rows, cut to where they are inside."""
    x, w, zx, zw = _operands(node, low)
    y = low.out(node.outputs[0])
    if y.type.size == 0:
        return
    kernel = w.type.shape[2:]
    ones = (1,) * len(kernel)
    groups, depth = node.attrs.get("group", 1), w.type.shape[1]
    per_group = w.type.shape[0] // groups
    pads = resolved_pads(node.attrs, x.type.shape[2:], y.type.shape[2:], kernel)
    top, left = (0, *pads[: len(kernel)])[-2:]
    taps_y, taps_x = (1, *kernel)[-2:]
    stride_y, stride_x = (1, *(node.attrs.get("strides") or ones))[-2:]
    dilation_y, dilation_x = (1, *(node.attrs.get("dilations") or ones))[-2:]
    rows_in, cols_in = (1, *x.type.shape[2:])[-2:]
    rows_out, cols_out = (1, *y.type.shape[2:])[-2:]
    moves = [k * dilation_x - left for k in range(taps_x)]
    firsts = [min(max(-(move // stride_x), 0), cols_out) for move in moves]
    ends = [max(min((cols_in - 1 - move) // stride_x + 1, cols_out), 0) for move in moves]
    views = [v for v in (x, w, zx, zw) if v is not None]
    names = [n for n, v in zip(("x", "w", "zx", "zw"), (x, w, zx, zw), strict=True) if v is not None]
    lines = [pointer(name, i, view.type.dtype) for i, (name, view) in enumerate(zip(names, views, strict=True))]
    lines += [
        f"uint32_t *const y = (uint32_t *)buf[{len(views)}];",
        f"static const int32_t firsts[] = {{{', '.join(map(str, firsts))}}};",
        f"static const int32_t ends[] = {{{', '.join(map(str, ends))}}};",
        f"const int32_t zero = {'zx[0]' if zx else '0'};",
    ]
    channels = w.type.shape[0]
    zw_at = "zw[c]" if zw and zw.type.size > 1 else "zw[0]" if zw else "0"
    each = f"for (int64_t i = 0; i < {cols_out}; i++)"
    sums = "sums" if cols_out <= _SUMS else "to"
    tap = [
        f"const uint32_t weight = (uint32_t)(weights[((int64_t)d * {taps_y} + ky) * {taps_x} + kx] - zero_w);",
        f"const {_c(x)} *const at = from + kx * {dilation_x} - {left};",
        "const int64_t end = ends[kx];",
        "for (int64_t i = firsts[kx]; i < end; i++) {",
        f"    {sums}[i] += weight * (uint32_t)(at[i * {stride_x}] - zero);",
        "}",
    ]
    plane = [
        f"const int64_t row = r * {stride_y} + ky * {dilation_y} - {top};",
        f"if (row < 0 || row >= {rows_in}) continue;",
        f"const {_c(x)} *const from = image + (d * {rows_in} + row) * {cols_in};",
        f"PF_ROLLED for (int64_t kx = 0; kx < {taps_x}; kx++) {{",
        *indent(tap),
        "}",
    ]
    lines += [
        f"PF_ROLLED for (int64_t j = 0; j < {x.type.shape[0] * channels}; j++) {{",
        f"    const int64_t c = j % {channels}, image_number = j / {channels};",
        f"    const {_c(x)} *const image =",
        f"        x + (image_number * {x.type.shape[1]} + c / {per_group} * {depth}) * {rows_in * cols_in};",
        f"    const {_c(w)} *const weights = w + c * {depth * taps_y * taps_x};",
        f"    const int32_t zero_w = {zw_at};",
        f"    PF_ROLLED for (int64_t r = 0; r < {rows_out}; r++) {{",
        f"        uint32_t *const to = y + (j * {rows_out} + r) * {cols_out};",
        f"        uint32_t sums[{cols_out}] = {{0}};" if sums == "sums" else f"        {each} to[i] = 0;",
        f"        PF_ROLLED for (int64_t d = 0; d < {depth}; d++) {{",
        f"            PF_ROLLED for (int64_t ky = 0; ky < {taps_y}; ky++) {{",
        *indent(plane, 4),
        "            }",
        "        }",
        f"        {each} to[i] = sums[i];" if sums == "sums" else "",
        "    }",
        "}",
    ]
    low.generated(node, "convinteger", text(lines), [*views, y])


def _operands(node: Node, low: Lowering) -> tuple[View, View, View | None, View | None]:
    """Both operands and their zero points, if given."""
    a, b, za, zb = (low.view(i) if i else None for i in (*node.inputs, "", "")[:4])
    if a is None or b is None:
        raise AssertionError(f"{node.name}: {node.op} has two operands")
    return a, b, za, zb


def _c(view: View) -> str:
    return f"{view.type.dtype.name}_t"


def _reshaped(view: View, shape: Sequence[int]) -> View:
    size = tuple(int(s) for s in np.empty(view.type.shape, np.bool_).reshape(shape).shape)
    return View(view.buffer, TensorType(view.type.dtype, size), dense_strides(size), view.offset)


def _matrix(view: View, vector: tuple[int, int]) -> View:
    """The operand with at least two dimensions: a vector becomes a matrix as in NumPy."""
    return _reshaped(view, vector) if len(view.type.shape) == 1 else view


def _zero_points(view: View, vector: tuple[int, int]) -> View:
    """[..., M, 1] or [..., 1, N] out of a scalar, a vector of rows or columns, or that itself."""
    return _reshaped(view, vector) if len(view.type.shape) < 2 else view


def _rows(view: View) -> View:
    """The view of [..., rows] first elements of rows."""
    return View(view.buffer, TensorType(view.type.dtype, view.type.shape[:-1]), view.strides[:-1], view.offset)


def _batch(view: View) -> View:
    """The view of the first elements of matrices."""
    return _rows(_rows(view))


def _check_bytes(node: Node, graph: Graph) -> str | None:
    for value in node.inputs[:2]:
        if graph.type(value).dtype not in _BYTES:
            return f"only int8 and uint8 are compiled, not {graph.type(value)}"
    return None


def check_matmul(node: Node, graph: Graph) -> str | None:
    """Zero points are one for all, one per row of the left side, or one per column of the right side."""
    if why := _check_bytes(node, graph):
        return why
    for side, value in enumerate(node.inputs[2:4]):
        if not value or graph.type(value).size == 1:
            continue
        zeros, operand = graph.type(value).shape, graph.type(node.inputs[side]).shape
        count = operand[side - 2] if len(operand) > 1 else 1
        matrix = (count, 1) if side == 0 else (1, count)
        whole = zeros if len(zeros) > 1 else matrix if zeros == (count,) else ()
        if whole[-2:] != matrix or any(z not in (1, o) for z, o in zip(whole[-3::-1], operand[-3::-1], strict=False)):
            return f"the zero point {graph.type(value)} is neither one number nor one per row or column"
    return None


def check_conv(node: Node, graph: Graph) -> str | None:
    """One and two spatial dimensions, one zero point for x, one or one per output channel for the weights."""
    if why := _check_bytes(node, graph):
        return why
    x, w = graph.type(node.inputs[0]), graph.type(node.inputs[1])
    if len(x.shape) not in (3, 4):
        return f"only one and two spatial dimensions are compiled, the input is {x}"
    groups = node.attrs.get("group", 1)
    if w.shape[0] % groups or w.shape[1] * groups != x.shape[1]:
        return f"weights {w} do not fit {groups} groups of {x}"
    for value, most in zip(node.inputs[2:4], (1, w.shape[0]), strict=False):
        if value and graph.type(value).size not in (1, most):
            return f"a zero point is {graph.type(value)}, where {most} can be"
    return None


def check_quantize(node: Node, graph: Graph) -> str | None:
    """Float32 in, as ONNX has it."""
    x = graph.type(node.inputs[0])
    return None if x.dtype == np.float32 else f"only float32 is compiled, not {x}"


def matmul_meaning(_node: Node, inputs: Sequence[Array | None]) -> list[Array]:
    """Exact sums of products, wrapped to 32 bits. (ONNX's evaluator takes zero points per row for those per column.)"""
    a, b = (np.asarray(i).astype(np.int64) for i in inputs[:2])
    za, zb = (None if i is None else i.astype(np.int64) for i in (*inputs[2:], None, None)[:2])
    if za is not None:
        a = a - (za.reshape(-1, 1) if za.ndim == 1 and za.size > 1 else za.reshape(()) if za.size == 1 else za)
    if zb is not None:
        b = b - (zb.reshape(()) if zb.size == 1 else zb)
    return [(a @ b).astype(np.int32)]


OPERATORS = (
    Operator("DynamicQuantizeLinear", lower_quantize, check_quantize),
    Operator("MatMulInteger", lower_matmul, check_matmul, matmul_meaning),
    Operator("ConvInteger", lower_conv, check_conv),
)
