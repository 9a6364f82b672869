#!/usr/bin/env python3
"""Compile a model at a golden's sizes, run it on the golden's inputs, compare the results.

    python3 run_golden.py GOLDEN.safetensors PRECISION [--target T] --source ROOT --bin DFMC DFM_RT EXTRACT COMPARE

PRECISION is f32 or bf16. Standard library only. Exit status 0 when `out`, `loss` and every
gradient are within the limits of GOLDEN.json.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def call(*command):
    line = [str(word) for word in command]
    print("+", " ".join(line), flush=True)
    return subprocess.run(line).returncode


def must(*command):
    status = call(*command)
    if status != 0:
        sys.exit("%s failed with status %d" % (Path(str(command[0])).name, status))


def run(golden, precision, target, source, tools, work):
    """Number of programs whose results are not within limits."""
    dfmc, dfm_rt, extract, compare = tools
    sidecar = golden.with_suffix(".json")
    facts = json.loads(sidecar.read_text())
    plan = work / "golden.plan"
    sizes = [word for k, v in facts["dims"].items() for word in ("--set", "dim.%s=%d" % (k, v))]
    must(dfmc, source / facts["file"], "-o", plan, "--train", facts["train"], "--precision",
         precision, "--target", target, *sizes)
    for prefix in ("w", "forward", "train"):
        must(extract, golden, prefix + ".", work / (prefix + ".safetensors"))
    failures = 0
    for program, inputs, results in (("forward", "forward", "out"), ("loss", "train", "loss"),
                                     ("grad", "train", "grad.")):
        made = work / (program + "_out.safetensors")
        must(dfm_rt, "run", plan, "--program", program, "--weights", work / "w.safetensors",
             "--inputs", work / (inputs + ".safetensors"), "-o", made)
        floor = "1e-5" if precision == "f32" else "2e-2"
        shape = ["--any-shape"] if program == "grad" else []     # weights may be split or merged
        failures += call(compare, made, golden, "--only", results, "--limit", floor, "--limits",
                         sidecar, "--limits-key", "limit_" + precision, *shape) != 0
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("golden", type=Path)
    parser.add_argument("precision", choices=["f32", "bf16"])
    parser.add_argument("--target", default="cpu")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--bin", nargs=4, required=True)
    args = parser.parse_args()
    os.umask(0o077)                      # a plan holds machine code: nobody else may write it
    work = Path(tempfile.mkdtemp(prefix="dfm-golden-"))
    try:
        failures = run(args.golden.resolve(), args.precision, args.target, args.source, args.bin,
                       work)
    finally:
        shutil.rmtree(work)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
