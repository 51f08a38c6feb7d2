"""The C files of one model. See ``board/runtime/pf_model.h`` for what they define."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilotfish.compiler.graph import TensorType
from pilotfish.compiler.kernels import table
from pilotfish.compiler.kernels.program import ALIGN, Program
from pilotfish.compiler.kernels.table import Array
from pilotfish.compiler.passes.memory import MemoryPlan

_DTYPES = {
    "float32": "PF_F32", "float64": "PF_F64", "float16": "PF_F16", "int8": "PF_I8", "uint8": "PF_U8",
    "int16": "PF_I16", "uint16": "PF_U16", "int32": "PF_I32", "uint32": "PF_U32", "int64": "PF_I64",
    "uint64": "PF_U64", "bool": "PF_BOOL",
}  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """What is to be compiled for one model.

    ``model_c`` and ``header`` are C text; ``kernel_files`` names files of the kernels' folder; ``weights`` is the
    content of the weights, laid out; ``weight_offsets`` where each weights buffer lies in it.
    """

    symbol: str
    model_c: str
    header: str
    kernel_files: tuple[str, ...]
    weights: bytes
    weight_offsets: Mapping[str, int]


def generate(program: Program, memory: MemoryPlan, *, symbol: str = "model", runtime_header: str = "") -> Sources:
    """Print a program as C.

    ``symbol`` prefixes the public names. ``runtime_header`` is the text of ``pf_model.h``, which the public header
    carries so that it stands alone.
    """
    weights, weight_offsets = _layout_weights(program)
    kernels = [table.kernels()[s.kernel] for s in program.steps if s.args is not None]
    files = tuple(sorted({k.source for k in kernels}))
    parts = [
        f"/* {_comment(program.name)}, compiled by Pilotfish for {program.target.name}. */",
        '#include "pf_kernel.h"\n#include "pf_model.h"',
        "".join(f'#include "{h}"\n' for h in sorted({table.structs()[k.args].header for k in kernels})),
    ]
    sources = dict.fromkeys(s.source for s in program.steps if s.source)
    if sources:
        half = '#include "pf_half.h"\n' if any("_Float16" in source for source in sources) else ""
        parts.append(f'{half}#include "pf_math.h"\n#include "pf_scalar.h"\n#include "pf_vec.h"\n')
    parts.append("".join(f"pf_kernel {name};\n" for name in sorted({k.name for k in kernels})))
    parts.extend(sources)
    parts.append(_tables(program, memory, weight_offsets))
    parts.append(_tensors("inputs", program.inputs) + _tensors("outputs", program.outputs))
    parts.append(_run(program, memory, len(weights), symbol))
    return Sources(symbol, "\n".join(parts), _header(program, memory, len(weights), symbol, runtime_header), files,
                   weights, weight_offsets)  # fmt: skip


def _layout_weights(program: Program) -> tuple[bytes, dict[str, int]]:
    chunks: list[bytes] = []
    offsets: dict[str, int] = {}
    at = 0
    used = {name for step in program.steps for name, _ in step.operands}
    for buffer in program.buffers.values():
        if buffer.space != "weights" or buffer.name not in used:
            continue
        content = _content(buffer.data)
        offsets[buffer.name] = at
        padding = -len(content) % ALIGN
        chunks += [content, b"\0" * padding]
        at += len(content) + padding
    return b"".join(chunks), offsets


def _content(data: Array | None) -> bytes:
    if data is None:
        raise AssertionError("a weights buffer has data")
    return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


def _tables(program: Program, memory: MemoryPlan, weight_offsets: Mapping[str, int]) -> str:
    """The steps, their arguments and their operands, as constant tables."""
    arena = memory.offsets()
    first_output = 2 + len(program.inputs)

    def place(name: str, offset: int) -> str:
        buffer = program.buffers[name]
        match buffer.space:
            case "weights":
                return f"{{0, {weight_offsets[name] + offset}}}"
            case "arena":
                return f"{{1, {arena[name] + offset}}}"
            case "input":
                return f"{{{2 + buffer.index}, {offset}}}"
            case "output":
                return f"{{{first_output + buffer.index}, {offset}}}"

    arguments: dict[str, str] = {}  # C definition → name
    operands: list[str] = []
    steps: list[str] = []
    for step in program.steps:
        pointer = "NULL"
        if step.args is not None:
            struct, values = step.args
            text = f"{struct} NAME = {table.structs()[struct].initializer(values)}"
            name = arguments.setdefault(text, f"args_{len(arguments)}")
            pointer = f"&{name}"
        steps.append(f"    {{{step.kernel}, {pointer}, {len(operands)}, {len(step.operands)}}},")
        operands += [place(*o) for o in step.operands]
    lines = [f"static const {text.replace('NAME', name, 1)};" for text, name in arguments.items()]
    lines.append("\n/* Base (0 weights, 1 arena, then inputs, then outputs) and offset in bytes. */")
    ends = [weight_offsets.get(name, 0) + buffer.nbytes for name, buffer in program.buffers.items()]
    wide = max([memory.arena_bytes, *ends]) >= 1 << 32
    lines.append(f"typedef struct {{\n    uint32_t base;\n    uint{64 if wide else 32}_t offset;\n}} operand_t;")
    lines.append(
        "typedef struct {\n    pf_kernel *kernel;\n    const void *args;\n    uint32_t first, count;\n} step_t;"
    )
    lines.append("static const operand_t operands[] = {")
    lines += [f"    {o}," for o in operands or ["{0, 0}"]]
    lines.append("};\nstatic const step_t steps[] = {")
    lines += steps or ["    {NULL, NULL, 0, 0},"]
    lines.append("};\nstatic const char *const step_names[] = {")
    lines += [f'    "{_c_string(s.node)}|{s.kernel}",' for s in program.steps] or ['    "",']
    return "\n".join(lines) + "\n};"


def _tensors(kind: str, tensors: Mapping[str, TensorType]) -> str:
    lines = []
    for i, t in enumerate(tensors.values()):
        if t.shape:
            lines.append(f"static const int64_t {kind}_{i}_shape[] = {{{', '.join(map(str, t.shape))}}};")
    lines.append(f"static const pf_tensor_info {kind}[] = {{")
    for i, (name, t) in enumerate(tensors.items()):
        shape, nbytes = (f"{kind}_{i}_shape" if t.shape else "NULL"), t.size * t.dtype.itemsize
        lines.append(f'    {{"{_c_string(name)}", {_DTYPES[t.dtype.name]}, {len(t.shape)}, {shape}, {nbytes}}},')
    if not tensors:
        lines.append('    {"", PF_F32, 0, NULL, 0},')
    return "\n".join([*lines, "};\n"])


def _run(program: Program, memory: MemoryPlan, weights_bytes: int, symbol: str) -> str:
    n_in, n_out = len(program.inputs), len(program.outputs)
    most = max((len(s.operands) for s in program.steps), default=1)
    weights = f"{symbol}_weights" if weights_bytes else "NULL"
    declared = f"extern const unsigned char {symbol}_weights[];\n" if weights_bytes else ""
    vlen_min = program.target.vlen_min if program.target.isa == "rvv" else 0
    name_checks = [
        ("weights", weights_bytes),
        ("arena", memory.arena_bytes),
        ("inputs", n_in),
        ("outputs", n_out),
    ]
    checks = " || ".join(f"!{name}" for name, needed in name_checks if needed) or "0"
    aligned = " | ".join(f"(uintptr_t){name}" for name, needed in name_checks[:2] if needed)
    align_check = f"    if (({aligned}) % PF_ALIGN) return PF_ERR_ARENA;\n" if aligned else ""
    inputs_loop = (
        f"    for (uint32_t i = 0; i < {n_in}; i++) {{\n"
        "        if (!inputs[i]) return PF_ERR_ARGUMENT;\n"
        "        base[2 + i] = (char *)(uintptr_t)inputs[i];\n    }\n" if n_in else "    (void)inputs;\n"
    )  # fmt: skip
    return f"""{declared}
static pf_status run(const void *weights, void *arena, const void *const *inputs, void *const *outputs,
                     pf_step_hook *hook, void *hook_context) {{
    if ({checks}) return PF_ERR_ARGUMENT;
{align_check}    char *base[{2 + n_in + n_out}] = {{(char *)(uintptr_t)weights, arena}};
{inputs_loop}    for (uint32_t i = 0; i < {n_out}; i++) {{
        if (!outputs[i]) return PF_ERR_ARGUMENT;
        base[{2 + n_in} + i] = outputs[i];
    }}
    for (uint32_t i = 0; i < {len(program.steps)}; i++) {{
        const step_t *step = &steps[i];
        const operand_t *operand = operands + step->first;
        void *buf[{most}];
        PF_ROLLED for (uint32_t j = 0; j < step->count; j++) buf[j] = base[operand[j].base] + operand[j].offset;
        if (hook) hook(hook_context, i, 0);
        step->kernel(step->args, buf);
        if (hook) hook(hook_context, i, 1);
    }}
    return PF_OK;
}}

const pf_model_info {symbol}_info = {{
    .name = "{_c_string(program.name)}",
    .n_inputs = {n_in},
    .n_outputs = {n_out},
    .n_steps = {len(program.steps)},
    .inputs = inputs,
    .outputs = outputs,
    .step_names = step_names,
    .arena_bytes = {memory.arena_bytes},
    .weights_bytes = {weights_bytes},
    .weights = {weights},
    .vlen_min = {vlen_min},
    .half = {int(_half_vectors(program))},
    .run = run,
}};
"""


def _half_vectors(program: Program) -> bool:
    """Whether a step needs vectors of float16."""
    steps = program.steps if program.target.isa == "rvv" else ()
    return any(s.kernel.startswith("f16_") or "_Float16" in s.source for s in steps)


def _header(program: Program, memory: MemoryPlan, weights_bytes: int, symbol: str, runtime_header: str) -> str:
    upper = symbol.upper()

    def listed(tensors: Mapping[str, TensorType]) -> str:
        return "\n".join(f" *   {i}: {_comment(n)}: {t}" for i, (n, t) in enumerate(tensors.items()))

    return f"""/* {_comment(program.name)}, compiled by Pilotfish for {program.target.name}. Link with lib{symbol}.a.
 *
 * Inputs, in order:
{listed(program.inputs)}
 * Outputs, in order:
{listed(program.outputs)}
 *
 * Nothing here allocates or keeps state: two instances, each with an arena of its own, may run at once. */
#ifndef PF_{upper}_PUBLIC_H
#define PF_{upper}_PUBLIC_H

#ifdef __cplusplus
extern "C" {{
#endif

{runtime_header}
#define {upper}_ARENA_BYTES {memory.arena_bytes}
#define {upper}_WEIGHTS_BYTES {weights_bytes}

/* Everything about the model: tensors, steps, sizes, and the weights that are linked in. */
extern const pf_model_info {symbol}_info;

typedef struct {{
    const void *weights;
    void *arena;
}} {symbol}_t;

/* Bytes of scratch memory that one instance needs, and of the weights. */
size_t {symbol}_arena_bytes(void);
size_t {symbol}_weights_bytes(void);

/* Make an instance out of caller's memory: `arena` aligned to PF_ALIGN; `weights` the content of weights.bin, aligned
 * too, or null for those that are linked in. Checks that the machine can run the code. */
pf_status {symbol}_init({symbol}_t *instance, void *arena, size_t arena_bytes, const void *weights,
                        size_t weights_bytes);

/* One inference. `inputs` and `outputs` point to one dense tensor each, in the order above. */
pf_status {symbol}_run({symbol}_t *instance, const void *const *inputs, void *const *outputs);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _c_string(text: str) -> str:
    """The text inside a C string literal; anything but plain characters as octal bytes."""
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode())


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\n", " ")
