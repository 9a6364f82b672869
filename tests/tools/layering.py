#!/usr/bin/env python3
"""layering.py: who may include whom. Standard library only.

    python3 layering.py              every file of the tree
    python3 layering.py --self-test  shows that forbidden lines are found

A part is a folder; the loose files of compiler/ are parts of their own (main, driver, diag ...).
ALLOWED says, for each part, which others its files may include; a part that is not there may not
exist. Includes are written from the root of the tree.
"""
import re
import sys

from tree import ROOT, sources

BASE = {"runtime/base"}
RUNTIME = BASE | {"runtime/plan"}
FRONT = BASE | {"compiler/diag"}
DRIVER = FRONT | {"compiler/driver", "compiler/options"}
LEAVES = {"runtime/device", "runtime/comm", "runtime/ckpt", "runtime/data", "runtime/metrics"}

ALLOWED = {
    "grammar": BASE | {"compiler/front"},
    "compiler/diag": BASE,
    "compiler/front": FRONT | {"compiler/ir", "grammar"},
    "compiler/ir": FRONT,
    "compiler/pass": FRONT | {"compiler/ir"},
    "compiler/kir": FRONT | {"compiler/ir"},
    "compiler/lower": FRONT | {"compiler/ir", "compiler/kir"},
    "compiler/truth": FRONT | {"compiler/ir", "compiler/pass", "compiler/kir", "compiler/lower",
                               "codegen", "codegen/cpu"},
    "compiler/options": BASE,
    "compiler/emit_plan": FRONT | {"codegen", "compiler/kir", "runtime/plan"},
    "compiler/driver": DRIVER | RUNTIME | {
        "codegen", "compiler/front", "compiler/ir", "compiler/pass", "compiler/kir",
        "compiler/lower", "compiler/truth", "compiler/emit_plan"},
    "compiler/main": DRIVER | {"compiler/ir"},
    "codegen": BASE | {"compiler/kir", "codegen/cpu", "codegen/cuda", "codegen/null"},
    "codegen/cpu": RUNTIME | {"codegen", "compiler/kir", "runtime/device/gemm"},
    "codegen/cuda": BASE | {"codegen", "compiler/kir"},
    "codegen/null": BASE | {"codegen", "compiler/kir"},
    "runtime/base": set(),
    "runtime/plan": BASE,
    "runtime/device": RUNTIME | {"runtime/device/gemm"},
    "runtime/device/gemm": BASE,
    "runtime/comm": RUNTIME | {"runtime/device"},
    "runtime/ckpt": RUNTIME,
    "runtime/data": RUNTIME,
    "runtime/metrics": RUNTIME,
    "runtime/exec": RUNTIME | LEAVES | {"runtime"},
    "runtime/app": RUNTIME | LEAVES | {"runtime", "runtime/exec"},
    "runtime": BASE,                          # dfm_rt.h, the public header
}

# System headers that one file each may include.
ONLY = {
    re.compile(r"^(cuda|nvrtc|cublas|nccl|cudnn)"): re.compile(
        r"^(runtime/(device|comm)/(dev_cuda|comm_nccl)|codegen/cuda/nvrtc)\.c$"),
    re.compile(r"^mpi\.h$"): re.compile(r"^runtime/comm/comm_mpi\.c$"),
    re.compile(r"^(dnnl|oneapi/)"): re.compile(r"^runtime/device/"),
    re.compile(r"^archive"): re.compile(r"^runtime/data/"),
    re.compile(r"^yaml"): re.compile(r"^runtime/app/"),
    re.compile(r"^png"): re.compile(r"^runtime/metrics/"),
    re.compile(r"^jansson"): re.compile(r"^(runtime/|compiler/(driver|emit_plan|diag))"),
    re.compile(r"^xxhash"): re.compile(r"^runtime/base/"),
    re.compile(r"^omp\.h$"): re.compile(r"^runtime/(device|exec)/"),
}
LOOSE = {"driver_impl": "driver", "driver_memory": "driver",
         "driver_params": "driver", "driver_sizes": "driver",
         "driver_test": "driver", "diag_impl": "diag", "diag_print": "diag",
         "diag_sarif": "diag", "loc": "diag"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.M)


def part_of(path):
    folder, _, name = path.rpartition("/")
    if folder != "compiler":
        return folder
    stem = name.split(".")[0]
    return "compiler/" + LOOSE.get(stem, stem)


def faults_of(path, text, generated=()):
    """Messages about one file; `path` is from the root."""
    out = []
    part = part_of(path)
    if part not in ALLOWED:
        return ["%s: no rule for the part '%s' in tests/tools/layering.py" % (path, part)]
    for match in INCLUDE.finditer(text):
        own, system = match.group(1), match.group(2)
        line = text.count("\n", 0, match.start()) + 1
        if system:
            for name, users in ONLY.items():
                if name.match(system) and not users.match(path):
                    out.append("%s:%d: may not include <%s>" % (path, line, system))
        elif own in generated:
            continue
        elif not (ROOT / own).is_file():
            out.append("%s:%d: \"%s\" is no path from the root of the tree" % (path, line, own))
        elif part_of(own) not in ALLOWED[part] | {part}:
            out.append("%s:%d: %s may not include %s (\"%s\")" % (path, line, part, part_of(own), own))
    return out


GENERATED = {"dfm.tab.h", "dfm.lex.h"}


def is_template(path):                        # compiled by the host's cc together with prelude.h
    return "/templates/" in path


def self_test():
    wrong = {
        "runtime/exec/x.c": '#include "compiler/ir/ir.h"\n',
        "compiler/ir/x.c": '#include "compiler/pass/pass.h"\n',
        "runtime/data/x.c": '#include "runtime/ckpt/ckpt.h"\n',
        "runtime/app/x.c": '#include <mpi.h>\n',
        "runtime/plan/x.c": '#include "plan.h"\n',
        "runtime/new/x.c": "",
    }
    missed = [p for p, text in wrong.items() if not faults_of(p, text)]
    if faults_of("runtime/plan/x.c", '#include "runtime/base/str.h"\n#include <string.h>\n'):
        missed.append("a good line")
    if missed:
        sys.exit("not found: %s" % missed)


def main():
    if "--self-test" in sys.argv:
        return self_test()
    faults = []
    files = [str(p) for p in sources(".c", ".h", ".l", ".y",
                                     parts=("grammar", "compiler", "codegen", "runtime"))]
    for path in files:
        if not is_template(path):
            faults += faults_of(path, (ROOT / path).read_text(), GENERATED)
    print("%d files, %d faults" % (len(files), len(faults)))
    if faults or not files:
        sys.exit("\n".join(faults) or "no source files")


if __name__ == "__main__":
    main()
