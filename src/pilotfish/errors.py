"""Every error that Pilotfish raises on purpose.

    PilotfishError                    exit status
    ├── UsageError                    2   an option, a name or a value that cannot be
    │   └── UnknownTargetError
    ├── ModelError                    3   the model cannot be compiled
    │   ├── NotAModelError                not ONNX, truncated, or refused by ONNX's checker
    │   ├── UnsupportedOperatorsError     all of them at once, with node names and counts
    │   ├── UnboundShapeError             a symbolic dimension without a value
    │   └── OperatorError                 one node whose types, shapes or attributes do not fit
    ├── InputError                    4   a tensor given at run time has a wrong name, shape or dtype
    ├── ToolError                     5   a tool is missing or failed
    │   └── ToolMissingError
    ├── MachineError                  6   the machine cannot run this program (no V, VLEN too small)
    ├── BundleError                   7   a bundle is missing a part, or was changed
    ├── StorageError                  8   a file cannot be read or written (full disk, permissions)
    └── MismatchError                 9   results differ from the reference by more than the bound

The command line prints the message without a traceback and ends with the exit status; Ctrl-C ends with 130.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class PilotfishError(Exception):
    """Base of all errors that are meant for the user; the message says what to do."""

    exit_status = 1


class UsageError(PilotfishError):
    """An option, a name or a value that cannot be."""

    exit_status = 2


class UnknownTargetError(UsageError):
    """A target name that no target file has."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"unknown target {name!r}; known targets: {', '.join(known)}")
        self.name, self.known = name, tuple(known)


class ModelError(PilotfishError):
    """The model cannot be compiled."""

    exit_status = 3


class NotAModelError(ModelError):
    """The file is not an ONNX model, is truncated, or is refused by ONNX's own checker."""


class UnsupportedOperatorsError(ModelError):
    """Operators without an implementation: all of them, with the nodes that use them."""

    def __init__(self, nodes_by_operator: Mapping[str, Sequence[str]]) -> None:
        self.nodes_by_operator = {op: tuple(nodes) for op, nodes in nodes_by_operator.items()}
        lines = []
        for op, nodes in sorted(self.nodes_by_operator.items(), key=lambda kv: (-len(kv[1]), kv[0])):
            shown = ", ".join(nodes[:5]) + (f", … ({len(nodes) - 5} more)" if len(nodes) > 5 else "")
            lines.append(f"  {op}: {len(nodes)} node{'s' if len(nodes) != 1 else ''}: {shown}")
        super().__init__("the model uses operators that Pilotfish does not compile:\n" + "\n".join(lines))


class UnboundShapeError(ModelError):
    """An input has a symbolic dimension that was not bound."""


class OperatorError(ModelError):
    """One node does not fit: names the node, its operator, the types and shapes, and what to do."""

    def __init__(self, node: str, operator: str, why: str) -> None:
        super().__init__(f"node {node!r} ({operator}): {why}")
        self.node, self.operator, self.why = node, operator, why


class InputError(PilotfishError):
    """A tensor given at run time has a wrong name, shape or dtype."""

    exit_status = 4


class ToolError(PilotfishError):
    """An external tool failed; the message carries the end of what it printed."""

    exit_status = 5


class ToolMissingError(ToolError):
    """An external tool is not there and could not be brought; the message says how to get it."""


class MachineError(PilotfishError):
    """The machine cannot run the program: no vector extension, or VLEN below what the program allows."""

    exit_status = 6


class BundleError(PilotfishError):
    """A bundle is missing a part, was changed after it was made, or is of another version."""

    exit_status = 7


class StorageError(PilotfishError):
    """A file cannot be read or written."""

    exit_status = 8


class MismatchError(PilotfishError):
    """Results differ from the reference by more than the stated bound."""

    exit_status = 9
