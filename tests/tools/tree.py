"""tree.py - the source files of this tree, for the checks beside it."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("grammar", "compiler", "codegen", "runtime", "models", "tests", "cmake")


def sources(*suffixes, parts=PARTS):
    """Paths relative to the root, sorted. Build folders are not among the parts."""
    found = [p.relative_to(ROOT) for part in parts if (ROOT / part).is_dir()
             for p in (ROOT / part).rglob("*")
             if p.is_file() and p.suffix in suffixes and "__pycache__" not in p.parts]
    return sorted(found)
