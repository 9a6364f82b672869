#!/usr/bin/env python3
"""Norm + modulate, forward and backward, on buffers larger than the caches, against a plain copy.

    benchmarks/pointwise/norm_modulate.py [--threads 2] [--rounds 5] [--target cpu] [--bin build/release/bin]

Compiles norm_modulate.dfm, runs `dfm-rt bench` some times, and prints for each of its larger
kernels the bytes that it must move, the rate at which it does, and that rate as a share of a copy's
(the larger copies of the same run, read and written bytes counted alike): median, from least to most.
Where PyTorch and safetensors are, value and gradients are compared with theirs first.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

try:
    import torch
    import same
except ImportError:
    torch = None

HERE = os.path.dirname(os.path.abspath(__file__))
COPY_BYTES = 1 << 26            # copies from this size on count as out of cache
LARGE = 20e6                    # bytes of a kernel that is shown


def prove(rt, plan, folder, threads):
    """The same in PyTorch; ends the process if it is not the same."""
    B, S, D = 48, 256, 384
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    layers = torch.nn.ModuleDict({n: torch.nn.Linear(D, D) for n in ("before", "middle", "after")})
    inputs = {n: torch.randn(B, D) for n in ("s1", "k1", "g1", "s2", "k2")}
    inputs = {"x": torch.randn(B, S, D), **inputs}

    def modulated(x, shift, scale):
        x = torch.nn.functional.layer_norm(x, (D,), eps=1e-6)
        return x * (1 + scale[:, None]) + shift[:, None]

    def call(x, s1, k1, g1, s2, k2):
        h = layers["before"](x)
        h = h + g1[:, None] * layers["middle"](modulated(h, s1, k1))
        return layers["after"](modulated(h, s2, k2))

    start = same.write_start(folder, layers, inputs, {})
    same.prove(rt, plan, start, folder, layers, call, inputs, {}, threads)


def run(rt, plan, threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    out = subprocess.run([rt, "bench", plan, "--program", "grad", "--count", "5", "--json"], env=env,
                         capture_output=True, text=True, check=True).stdout
    found = json.loads(out)
    copy = max(rate for size, rate in found["roof_copies"] if size >= COPY_BYTES)
    steps = {s["name"]: s for s in found["steps"] if s["kind"] == "kernel" and s["bytes"] >= LARGE}
    return {n: (s["bytes"], s["bytes"] * s["calls"] / s["seconds"], copy) for n, s in steps.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(HERE, "../../build/release/bin"),
                        help="folder of dfmc and dfm-rt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--target", default="cpu")
    args = parser.parse_args()
    dfmc, dfm_rt = os.path.join(args.bin, "dfmc"), os.path.join(args.bin, "dfm-rt")
    with tempfile.TemporaryDirectory() as folder:
        plan = os.path.join(folder, "norm_modulate.plan")
        source = os.path.join(HERE, "norm_modulate.dfm")
        subprocess.run([dfmc, "-q", source, "--target", args.target, "-o", plan], check=True)
        if torch:
            prove(dfm_rt, plan, folder, args.threads)
        else:
            print("no PyTorch with safetensors here: the values are not compared")
        rounds = [run(dfm_rt, plan, args.threads) for _ in range(args.rounds)]
    print("copy: %.1f GB/s, median of %d rounds" %
          (statistics.median(next(iter(r.values()))[2] for r in rounds) / 1e9, len(rounds)))
    for name in rounds[0]:
        shares = sorted(r[name][1] / r[name][2] for r in rounds)
        rate = statistics.median(r[name][1] for r in rounds)
        print("%-24s %6.1f MB  %6.1f GB/s  %4.0f%% of the copy, from %.0f to %.0f" %
              (name, rounds[0][name][0] / 1e6, rate / 1e9, 100 * statistics.median(shares),
               100 * shares[0], 100 * shares[-1]))


if __name__ == "__main__":
    main()
