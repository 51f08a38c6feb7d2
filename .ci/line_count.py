"""Print a table of lines of code per room: without blank lines, comments and docstrings.

Usage: line_count.py      (in the repository's root; counts the files that git tracks)
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections import Counter
from pathlib import Path

COLUMNS = ("Python", "C")
IGNORED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def python_lines(text: str) -> int:
    """Lines that hold a token other than a comment or a docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in IGNORED:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and type(node.value.value) is str:
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def c_lines(text: str) -> int:
    """Lines that are not blank once comments are gone."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)
    return sum(1 for line in text.splitlines() if re.sub(r"//.*", "", line).strip())


def room(path: Path) -> str:
    """``src/pilotfish/compiler/ops/conv.py`` → ``compiler/ops``; outside of the package the top folder."""
    parts = path.parts
    if parts[:2] != ("src", "pilotfish"):
        return parts[0] if len(parts) > 1 else "(top)"
    inside = parts[2:-1]
    return "/".join(inside[: 2 if inside[:1] == ("compiler",) else 1]) or "(pipeline, errors)"


def main() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    longest = (0, "")
    for name in subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n"):
        path = Path(name)
        if path.suffix not in {".py", ".c", ".h"}:
            continue
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:  # deleted, and not yet committed
            continue
        kind, lines = ("Python", python_lines(text)) if path.suffix == ".py" else ("C", c_lines(text))
        counts[room(path), kind] += lines
        longest = max(longest, (text.count("\n"), name))
    rooms = sorted({name for name, _ in counts}, key=lambda r: (r in ("tests", "bench", "examples", ".ci"), r))
    print(f"{'lines of code':<22}" + "".join(f"{kind:>8}" for kind in COLUMNS))
    for name in rooms:
        print(f"  {name:<20}" + "".join(f"{counts[name, kind] or '':>8}" for kind in COLUMNS))
    totals = {kind: sum(n for (_, k), n in counts.items() if k == kind) for kind in COLUMNS}
    print(f"  {'in all':<20}" + "".join(f"{totals[kind]:>8}" for kind in COLUMNS))
    print(f"  longest file: {longest[1]}, {longest[0]} lines")


if __name__ == "__main__":
    main()
