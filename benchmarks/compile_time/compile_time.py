#!/usr/bin/env python3
"""compile_time.py: how long dfmc takes, cold, and that it does not depend on the number of layers.

    benchmarks/compile_time/compile_time.py [--rounds N] [-o FILE]      needs a release build only

For DiT-XL/2 on the cpu target without the cache, phase by phase; then for small models of 2 and of 56
layers in turn, times and counts (kernels, steps of the plan, lines of C, bytes of the plan).
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (2, 56)


def compile_once(o, folder, *flags):
    """{phase: ms}, {count: n}, seconds by the clock, processor seconds of dfmc and its compilers."""
    plan = folder / "x.plan"
    before, began = os.times(), time.perf_counter()
    p = subprocess.run([o.bin / "dfmc", ROOT / "models/dit.dfm", "-o", plan, "--no-cache",
                        "--time-passes", *flags], capture_output=True, text=True)
    seconds, after = time.perf_counter() - began, os.times()
    if p.returncode != 0:
        sys.exit("dfmc failed:\n" + p.stderr)
    phases = {n: float(ms) for n, ms in re.findall(r"^ +(\w+) +([\d.]+) ms", p.stderr, re.M)}
    listing = subprocess.run([o.bin / "dfm-rt", "dis", plan], capture_output=True, text=True).stdout
    counts = {"kernels": int(re.search(r"(\d+) kernels", p.stderr).group(1)),
              "steps": sum(map(int, re.findall(r"^program .* (\d+) steps$", listing, re.M))),
              "plan bytes": plan.stat().st_size}
    cpu = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return phases, counts, seconds, cpu


def lines_of_c(o, *flags):
    p = subprocess.run([o.bin / "dfmc", ROOT / "models/dit.dfm", "--emit=c", *flags],
                       capture_output=True, text=True)
    return p.stdout.count("\n")


def largest(o, folder):
    runs = [compile_once(o, folder, "--variant", "XL/2") for _ in range(o.rounds)]
    lines = ["| phase | min ms | median ms |", "| --- | --- | --- |"]
    for name in runs[0][0]:
        ms = [r[0][name] for r in runs]
        lines.append("| %s | %.1f | %.1f |" % (name, min(ms), statistics.median(ms)))
    top = {"front", "passes", "kernelize", "verify", "memory", "code", "plan"} & set(runs[0][0])
    apart = max(abs(sum(r[0][n] for n in top) - r[0]["total"]) for r in runs)
    wall = [r[2] for r in runs]
    lines += ["", "DiT-XL/2, cold: %.2f s at best, %.2f s in the median by the clock; processor time %.2f s; "
              "%d kernels." % (min(wall), statistics.median(wall), min(r[3] for r in runs),
                               runs[0][1]["kernels"]),
              "The phases add up to the total within %.1f ms; the clock shows %.0f ms more (start and end of "
              "the process)." % (apart, 1e3 * min(r[2] - r[0]["total"] / 1e3 for r in runs))]
    return lines


def layers(o, folder):
    base = ["--set", "dim.D=48", "--set", "dim.B=8"]
    runs = {n: [] for n in LAYERS}
    for _ in range(o.rounds):
        for n in LAYERS:
            runs[n].append(compile_once(o, folder, *base, "--set", "dim.L=%d" % n))
    lines = ["", "| | %d layers | %d layers | ratio |" % LAYERS, "| --- | --- | --- | --- |"]
    for name in runs[LAYERS[0]][0][0]:
        a, b = (min(r[0][name] for r in runs[n]) for n in LAYERS)
        lines.append("| %s, ms | %.1f | %.1f | %.2f |" % (name, a, b, b / a if a else 1))
    counts = {n: {**runs[n][0][1], "lines of C": lines_of_c(o, *base, "--set", "dim.L=%d" % n)}
              for n in LAYERS}
    for name in counts[LAYERS[0]]:
        a, b = (counts[n][name] for n in LAYERS)
        lines.append("| %s | %d | %d | %.2f |" % (name, a, b, b / a))
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin")
    parser.add_argument("-o", "--out", type=Path)
    o = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dfm-compile-") as folder:
        text = "\n".join(["# Compile time", ""] + largest(o, Path(folder)) + layers(o, Path(folder))) + "\n"
    print(text)
    if o.out:
        o.out.write_text(text)


if __name__ == "__main__":
    main()
