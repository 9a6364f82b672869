#!/usr/bin/env python3
"""vjp.py DFMC: `dfmc test` finds wrong gradients, and takes kinks for what they are.

Each case is a file with one op; the expectation is the exit code and words that must be printed.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

HEAD = "dfm 1\ndim B = 3, S = 5, D = 4\n"
TAIL = """
model m(x: f32[B, S, D], w: f32[D]) -> f32[B, S, D] { return f(x%s) }
"""


def op(body, vjp, formals="x: f32[B, S, D]", result="f32[B, S, D]", args=""):
    by_hand = " vjp (%s) {\n%s\n}" % vjp if vjp else ""
    return "%sop f(%s) -> %s {\n%s\n  return y\n}%s\n%s" % (HEAD, formals, result, body, by_hand,
                                                         TAIL % args)


CUBE = "  y[b, s, d] = x[b, s, d] ^ 3"
SCALE = "  y[b, s, d] = x[b, s, d] * w[d] + w[d] ^ 2"
SCALED = dict(formals="x: f32[B, S, D], w: f32[D]", args=", w")
SHIFT = "  y[b, s, d] = select(s > 0, x[b, max(s - 1, 0), d], 0.0)"

CASES = [
    ("right", op(CUBE, ("dx", "  dx[b, s, d] = dy[b, s, d] * 3 * x[b, s, d] ^ 2")), 0, ["passed"]),
    ("derived", op(CUBE, None), 0, ["passed"]),
    ("sign", op(CUBE, ("dx", "  dx[b, s, d] = -dy[b, s, d] * 3 * x[b, s, d] ^ 2")), 1,
     ["E0605", "`dx` at x[B=", "the sign is wrong"]),
    ("factor", op(CUBE, ("dx", "  dx[b, s, d] = dy[b, s, d] * x[b, s, d] ^ 2")), 1,
     ["E0605", "0.3333 times"]),
    ("small factor", op(CUBE, ("dx", "  dx[b, s, d] = dy[b, s, d] * 3.003 * x[b, s, d] ^ 2")), 1,
     ["E0605", "1.001 times"]),
    ("right, two formals", op(SCALE, (
        "dx, dw", "  dx[b, s, d] = dy[b, s, d] * w[d]\n"
        "  dw[d] = sum[b, s](dy[b, s, d] * (x[b, s, d] + 2 * w[d]))"), **SCALED), 0, ["passed"]),
    ("missing term", op(SCALE, (
        "dx, dw", "  dx[b, s, d] = dy[b, s, d] * w[d]\n"
        "  dw[d] = sum[b, s](dy[b, s, d] * x[b, s, d])"), **SCALED), 1, ["E0605", "`dw` at w[D="]),
    ("wrong operand", op(SCALE, (
        "dx, dw", "  dx[b, s, d] = dy[b, s, d] * x[b, s, d]\n"
        "  dw[d] = sum[b, s](dy[b, s, d] * (x[b, s, d] + 2 * w[d]))"), **SCALED), 1,
     ["E0605", "`dx` at x"]),
    ("wrong index", op(SHIFT, (
        "dx", "  dx[b: B, s: S, d: D] = select(s > 0, dy[b, max(s - 1, 0), d], 0.0)")), 1,
     ["E0605", "`dx` at x"]),
    ("right index", op(SHIFT, (
        "dx", "  dx[b: B, s: S, d: D] = select(s < S - 1, dy[b, min(s + 1, S - 1), d], 0.0)")), 0,
     ["passed"]),
    ("nothing", op(CUBE, ("dx", "  dx[b, s, d] = 0.0 * dy[b, s, d]")), 1,
     ["E0605", "a term is missing"]),
    # kinks: not at random places, and where they are, they are no error
    ("abs", op("  y[b, s, d] = abs(x[b, s, d])",
               ("dx", "  dx[b, s, d] = dy[b, s, d] * sign(x[b, s, d])")), 0, ["passed"]),
    ("maximum", op("  m[b, s] = max[d](x[b, s, d])\n  y[b, s, d] = x[b, s, d] - m[b, s]", None), 0,
     ["passed"]),
    ("select", op("  y[b, s, d] = select(x[b, s, d] > 0.3, x[b, s, d] ^ 2, 0.1)", None), 0,
     ["passed"]),
    ("kink at every whole number", op("  y[b, s, d] = abs(sin(200 * x[b, s, d]))", None), 0,
     ["passed"]),
    ("kink at 0, where it is always", op("  y[b, s, d] = abs(x[b, s, d] - x[b, s, d])", None), 0,
     ["0 failed"]),
    ("logarithm: positive inputs are found", op("  y[b, s, d] = log(x[b, s, d])", None), 0,
     ["passed"]),
    ("never finite", op("  y[b, s, d] = log(-x[b, s, d] ^ 2 - 1)", None), 0,
     ["not tested: not finite"]),
    ("a user error", HEAD + "op f(x: f32[B]) -> f32[B] { return z }\n", 1, ["error["]),
]


def main():
    dfmc, failed = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text, code, words in CASES:
            path = Path(folder) / "case.dfm"
            path.write_text(text)
            r = subprocess.run([dfmc, "test", str(path), "--no-cache"], capture_output=True,
                               text=True, timeout=120)
            got = r.stdout + r.stderr
            if r.returncode != code or any(w not in got for w in words):
                failed += 1
                print("%s: exit %d, expected %d with %s\n%s\n%s" % (name, r.returncode, code, words,
                                                                 text, got))
    print("%d cases, %d failed" % (len(CASES), failed))
    sys.exit(failed > 0)


main()
