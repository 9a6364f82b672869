#!/usr/bin/env python3
"""Attention of a compiled plan against PyTorch's scaled_dot_product_attention, alternating.

    compare.py [--build build/release] [--threads 2] [--rounds 20] [--target cpu:native] [SIZE ...]

SIZE is batch x heads x tokens x head size, as 8x6x256x64. Per round: one gradient step of
attention.dfm in a process of its own (of which only the attention kernels are counted), then forward
and backward in PyTorch, in f32, on tensors of the same layout; each side sleeps while the other
runs. Without PyTorch only our side is measured. FLOPs: 4 b h t t d forward, 2.5 times that backward.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = ["8x6x256x64", "4x12x256x64", "8x16x256x72", "2x4x4096x72", "1x6x4096x64"]


class Ours:
    """attn_run with the plan of one size."""

    def __init__(self, args, size, folder):
        b, h, t, d = size
        plan = os.path.join(folder, "attention.plan")
        subprocess.run(
            [os.path.join(args.build, "bin/dfmc"), os.path.join(HERE, "attention.dfm"), "-q",
             "-o", plan, "--target", args.target, "--set", f"dim.B={b}", "--set", f"dim.H={h}",
             "--set", f"dim.S={t}", "--set", f"dim.Dh={d}"], check=True)
        self.process = subprocess.Popen(
            [os.path.join(args.build, "benchmarks/attention/attn_run"), plan, str(args.threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit("compare.py: attn_run ended")
        return [float(x) for x in line.split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class PyTorch:
    def __init__(self, torch, threads, size):
        b, h, t, d = size
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.attend = torch.nn.functional.scaled_dot_product_attention
        parts = torch.randn(b, t, 3, h, d).permute(2, 0, 3, 1, 4)
        self.qkv = [x.requires_grad_() for x in parts]
        self.d_out = torch.randn(b, t, h, d).transpose(1, 2)

    def run(self):
        for x in self.qkv:
            x.grad = None
        t0 = time.perf_counter()
        out = self.attend(*self.qkv)
        t1 = time.perf_counter()
        out.backward(self.d_out)
        return t1 - t0, time.perf_counter() - t1


def median(x):
    return sorted(x)[len(x) // 2]


def line(name, seconds, flops):
    low, mid = min(seconds), median(seconds)
    print(f"  {name:18} {1e3 * low:8.2f} ms min {1e3 * mid:8.2f} median {1e3 * max(seconds):8.2f} max"
          f"   {1e-9 * flops / low:5.0f} GFLOP/s, {1e-9 * flops / mid:5.0f} at the median")


def compare(args, size, torch):
    b, h, t, d = size
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(args, size, folder)
        theirs = PyTorch(torch, args.threads, size) if torch else None
        sides = {"dfm": [], "PyTorch": []}
        for i in range(args.rounds + 1):
            one = ours.ask("run")
            time.sleep(0.02)                 # both pools of threads spin for a while
            two = theirs.run() if theirs else None
            time.sleep(0.02)
            if i:                            # the first one warms up
                sides["dfm"].append(one)
                sides["PyTorch"].append(two)
        roof = ours.ask("roof")[0]
        ours.close()
    print(f"{b} x {h} heads, {t} tokens, head size {d}, {args.threads} threads, {args.target};"
          f" a large product in this run: {1e-9 * roof:.0f} GFLOP/s")
    for k, what in enumerate(("forward", "backward")):
        flops = 4.0 * b * h * t * t * d * (2.5 if k else 1)
        mine = [x[k] for x in sides["dfm"]]
        line("dfm " + what, mine, flops)
        if theirs:
            other = [x[k] for x in sides["PyTorch"]]
            line("PyTorch " + what, other, flops)
            each = [y / x for x, y in zip(mine, other)]
            print(f"  {what} is {min(other) / min(mine):.2f}x faster by the minima,"
                  f" {median(other) / median(mine):.2f}x by the medians,"
                  f" {median(each):.2f}x by the median of rounds ({min(each):.2f} .. {max(each):.2f})")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", default=os.path.join(HERE, "../../build/release"))
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=20)
    p.add_argument("--target", default="cpu:native")
    p.add_argument("sizes", nargs="*", metavar="SIZE", default=SIZES)
    args = p.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
        print("PyTorch is not installed: our side alone")
    for size in args.sizes:
        compare(args, [int(x) for x in size.split("x")], torch)


if __name__ == "__main__":
    main()
