#!/usr/bin/env python3
"""headers.py: every header compiles alone, included twice. Standard library only.

    python3 headers.py CC GENERATED [more include folders ...]

GENERATED is the folder of generated headers in the build tree.
"""
import concurrent.futures
import os
import subprocess
import sys

from tree import ROOT, sources


def compiles(cc, folders, header):
    """The compiler's messages; empty: none."""
    flags = [word for f in folders for word in ("-I", str(f))]
    command = [cc, "-std=gnu17", "-D_GNU_SOURCE", "-DDFM_VERSION=\"0\"", "-Wall", "-Wextra",
               "-Wno-unused-parameter", "-Wno-unused-function", "-Werror", "-fsyntax-only", *flags,
               "-x", "c", "-"]
    text = '#include "%s"\n#include "%s"\nint nothing;\n' % (header, header)
    result = subprocess.run(command, input=text, capture_output=True, text=True)
    return "" if result.returncode == 0 else "%s does not compile alone:\n%s" % (header, result.stderr)


def main():
    cc, folders = sys.argv[1], [ROOT] + sys.argv[2:]
    headers = [p for p in sources(".h", parts=("grammar", "compiler", "codegen", "runtime"))
               if "templates" not in p.parts]
    if compiles(cc, folders, "runtime/base/no_such_header.h") == "":
        sys.exit("a header that does not exist compiles")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [f for f in pool.map(lambda h: compiles(cc, folders, h), headers) if f]
    print("%d headers, %d faults" % (len(headers), len(faults)))
    if faults or not headers:
        sys.exit("\n".join(faults) or "no headers")


if __name__ == "__main__":
    main()
