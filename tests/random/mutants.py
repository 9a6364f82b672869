#!/usr/bin/env python3
"""mutants.py: does the generator find what is broken? By hand; minutes. Standard library only.

    python3 tests/random/mutants.py [--only WORD] [--seeds 16..271]
    python3 tests/random/mutants.py --list          only says where each would be (what ctest runs)

Each mutant is one wrong line in the compiler, the emitter or a template, in a copy of the tree under
build/mutants. It is found if a program fails among the seeds. A mutant whose line is no longer there
is an error of this list.
"""
import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = "codegen/cpu/templates/prelude.h"
EMIT = "codegen/cpu/"
WRONG = 1.001                                 # relative error of a prelude function


def scaled(name):
    """The function returns WRONG times what it should."""
    def change(text):
        at = re.search(r"INLINE float %s\(float \w+\)\n\{.*?\n\}" % name, text, re.S)
        if not at:
            return None
        body = at.group()
        cut = body.rindex("return ")
        end = body.index(";", cut)
        new = "%sreturn %ff * (%s)%s" % (body[:cut], WRONG, body[cut + 7:end], body[end:])
        return text[:at.start()] + new + text[at.end():]
    return change


def swap(old, new):
    return lambda text: text.replace(old, new, 1) if old in text else None


MUTANTS = [
    ("prelude: exp", PRELUDE, scaled("f_exp")),
    ("prelude: log", PRELUDE, scaled("f_log")),
    ("prelude: expm1", PRELUDE, scaled("f_expm1")),
    ("prelude: log1p", PRELUDE, scaled("f_log1p")),
    ("prelude: tanh", PRELUDE, scaled("f_tanh")),
    ("prelude: sigmoid", PRELUDE, scaled("f_sigmoid")),
    ("prelude: erf", PRELUDE, scaled("f_erf")),
    ("prelude: sin", PRELUDE, scaled("f_sin")),
    ("prelude: cos", PRELUDE, scaled("f_cos")),
    ("prelude: remainder truncates", PRELUDE, swap("b * floorf(a / b)", "b * truncf(a / b)")),
    ("emitter: square root", EMIT, swap('"(1.0f / sqrtf(%a))"', '"(1.001f / sqrtf(%a))"')),
    ("emitter: argmax takes the last of equals", EMIT, swap('OUT(" > %s) { %s = "', 'OUT(" >= %s) { %s = "')),
    ("emitter: a row maximum starts at 0", EMIT, swap('f ? "-INFINITY" : "INT32_MIN"',
                                                     'f ? "0.0f" : "INT32_MIN"')),
    ("emitter: a guard's upper bound is one less", EMIT, swap('OUT(") <= %" PRId64 "%s", g->hi',
                                                            'OUT(") < %" PRId64 "%s", g->hi')),
    ("emitter: draws forget the first sample", EMIT, swap("(uint32_t)(x->first_sample + ",
                                                         "(uint32_t)(0 * x->first_sample + ")),
    ("attention: sums are not scaled down", "codegen/cpu/templates/attn_fwd.c",
     swap("load(sum + j * VL) * load(shrink + j * VL)", "load(sum + j * VL)")),
    ("attention: the window is one less", "codegen/cpu/templates/",
     swap("i - j <= WINDOW", "i - j < WINDOW")),
    ("attention: lse without its maximum", "codegen/cpu/templates/attn_fwd.c",
     swap("__builtin_fmaf(top[i], 0x1.62e43p-1f, f_log(sum[i]))", "f_log(sum[i])")),
    ("attention backward: no dot product", "codegen/cpu/templates/attn_bwd.c",
     swap("mean[i] = -t;", "mean[i] = 0 * t;")),
    ("product: later parts of a sum replace the first", "codegen/cpu/templates/gemm_result.h",
     swap("if (!d->first) v += *(const vec *)s;", "")),
    ("product: edges forget their last step", "codegen/cpu/cpu_micro.c",
     swap("rest = x->kc %% %d;", "rest = x->kc %% %d / 2 * 2;")),
    ("product: no bias in vectors", "codegen/cpu/templates/gemm_result.h",
     swap("v += *(const vec *)(d->bias + j);", "")),
    ("epilogue: a last block that is short is left out", "codegen/cpu/templates/gemm.c",
     swap("(m1 + g->epi_block - 1) / g->epi_block", "m1 / g->epi_block")),
    ("memory plan: neighbours in time overlap", "compiler/lower/",
     swap("a->from <= b->to && b->from <= a->to", "a->from < b->to && b->from < a->to")),
    ("memory plan: loops do not hold what is read first", "compiler/lower/",
     swap("!outside && !l->read_first && !walked", "!outside && !walked")),
    ("fusion: reads at other places count as the same", "compiler/lower/kernelize_fuse.c",
     swap("if (!l->identity || !r ||", "if (!r ||")),
    ("gradient: sign of the cosine", "compiler/pass/autodiff_fns.c",
     swap("return neg(c, mul(c, dy, f1(c, IR_FN_SIN, arg(c, 0))))",
          "return mul(c, dy, f1(c, IR_FN_SIN, arg(c, 0)))")),
    ("gradient: constant of erf", "compiler/pass/autodiff_fns.c",
     swap("num(c, 2 / sqrt(acos(-1.0)))", "num(c, 2.002 / sqrt(acos(-1.0)))")),
    ("gradient: clamp's inner piece is one short", "compiler/pass/autodiff_view.c",
     swap("(ir_cond){ir_ix_of(m, clamp)->a, lo, hi}", "(ir_cond){ir_ix_of(m, clamp)->a, lo + 1, hi}")),
    ("folding: (x % a) // b for any a", "compiler/ir/ir_index.c",
     swap("&& !rest->c && e.c % c == 0)", "&& !rest->c)")),
]


def run(command, where, seconds):
    return subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=seconds)


def changed(tree, place, change):
    """The file that the change fits, its old text and its new one; None if none does."""
    path = tree / place
    for f in sorted(path.rglob("*.[ch]")) if path.is_dir() else [path]:
        old = f.read_text()
        new = change(old)
        if new is not None and new != old:
            return f, old, new
    return None


def build(tree):
    r = run(["cmake", "--build", "--preset", "release", "--target", "test_random_programs"], tree,
            900)
    return r.returncode == 0, r.stdout[-1500:]


def prepare(tree):
    for part in ("cmake", "CMakeLists.txt", "CMakePresets.json", "grammar", "compiler", "codegen",
                 "runtime", "tests", "models", "docs", "LICENSE", "README.md", "benchmarks"):
        src, to = ROOT / part, tree / part
        if src.is_dir():
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(src, to)
        elif src.exists():
            tree.mkdir(parents=True, exist_ok=True)
            shutil.copy2(src, to)
    r = run(["cmake", "--preset", "release"], tree, 300)
    if r.returncode:
        sys.exit(r.stdout + r.stderr)
    ok, text = build(tree)
    if not ok:
        sys.exit(text)


def judge(tree, seeds):
    """(found, words about it)"""
    r = run(["build/release/tests/test_random_programs", "--seeds", seeds, "--no-shrink", "--first"],
            tree, 3000)
    for line in r.stdout.splitlines():
        if line.startswith("FAILED"):
            return True, line[7:]
    return False, r.stdout.strip().splitlines()[-1] if r.stdout.strip() else "nothing printed"


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--only", default="")
    a.add_argument("--seeds", default="16..271")
    a.add_argument("--list", action="store_true")
    a = a.parse_args()
    chosen = [m for m in MUTANTS if a.only in m[0]]
    at = {m[0]: changed(ROOT, m[1], m[2]) for m in chosen}
    gone = [name for name in at if not at[name]]
    for name in at if a.list else gone:
        print("%-50s %s" % (name, at[name][0].relative_to(ROOT) if at[name] else "its line is gone"))
    if a.list or gone:
        sys.exit(1 if gone else 0)
    tree = ROOT / "build" / "mutants"
    prepare(tree)
    found, bad = 0, []
    for name, place, change in chosen:
        since = time.time()
        file, old, new = changed(tree, place, change)
        file.write_text(new)
        ok, text = build(tree)
        hit, words = judge(tree, a.seeds) if ok else (False, "does not build: " + text)
        file.write_text(old)
        found += hit
        if not hit:
            bad.append(name)
        print("%-50s %-5s %4.0f s  %s" % (name, "found" if hit else "NOT", time.time() - since, words),
              flush=True)
    print("%d of %d found" % (found, len(chosen)))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
