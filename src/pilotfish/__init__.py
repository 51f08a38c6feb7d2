"""Pilotfish takes a trained network to a RISC-V board: compile, run, check, count.

bundle = pilotfish.compile("model.onnx", target="sifive-x280", output="out/")
outputs = bundle.run({"input": array})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilotfish.api import Bundle, compile, quantize  # noqa: A004

__all__ = ["Bundle", "compile", "quantize"]


def __getattr__(name: str) -> Any:
    """Loads the compiler on first use: `pilotfish --help` and `import pilotfish.errors` need not wait for it."""
    if name in __all__:
        from pilotfish import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
