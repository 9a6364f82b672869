#!/usr/bin/env python3
"""sizes.py: no source file over 1,000 lines, none without a header comment, no line of C over 100
columns (tables, *.def, may be wider). Standard library only.

    python3 sizes.py [--limit N] [--columns N]
"""
import argparse
import sys

from tree import ROOT, sources

SUFFIXES = (".c", ".h", ".def", ".l", ".y", ".py", ".sh", ".cmake", ".dfm")
NARROW = (".c", ".h", ".l", ".y")


def says_what_it_is(path, text):
    """Does the file start with a comment? A script may have its interpreter's line first."""
    lines = text.lstrip().splitlines()
    if lines and lines[0].startswith("#!"):
        lines = lines[1:]
    return not lines or lines[0].startswith(("/*", "//", "#", '"""', "%{", "%option"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--columns", type=int, default=100)
    options = parser.parse_args()
    limit, columns = options.limit, options.columns
    faults, longest, count = [], (0, ""), 0
    for path in sources(*SUFFIXES):
        if path.suffix == ".dfm" and path.parts[0] != "models":    # input of a test
            continue
        text = (ROOT / path).read_text(errors="replace")
        n = text.count("\n")
        count += 1
        longest = max(longest, (n, str(path)))
        if n > limit:
            faults.append("%s has %d lines, at most %d" % (path, n, limit))
        if path.suffix in (".c", ".h", ".def", ".py", ".sh") and not says_what_it_is(path, text):
            faults.append("%s does not say at its start what it is" % path)
        if path.suffix in NARROW:
            faults += ["%s:%d has %d columns, at most %d" % (path, i, len(line), columns)
                       for i, line in enumerate(text.split("\n"), 1) if len(line) > columns]
    print("%d files, the longest: %s with %d lines" % (count, longest[1], longest[0]))
    if faults or not count:
        sys.exit("\n".join(faults) or "no source files")


if __name__ == "__main__":
    main()
