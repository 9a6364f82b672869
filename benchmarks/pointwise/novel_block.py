#!/usr/bin/env python3
"""The motion_mix block of models/novel.dfm, forward and gradient, here and under torch.compile.

    benchmarks/pointwise/novel_block.py [--threads 2] [--rounds 5] [--bin build/release/bin]

Compares value and gradients of the two on the same weights and inputs, and ends if they differ;
then alternates them and prints the ratio of their times, least and median. Needs PyTorch and
safetensors; nothing in the test run does. B x T x N x D = 8 x 8 x 256 x 384, f32.
"""
import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time

import torch
import torch.nn.functional as F

import same

B, T, N, D, R = 8, 8, 256, 384, 16
HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = {"norm": "norm.weight"}


class MotionMix(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.Parameter(torch.ones(D))
        self.w = torch.nn.Parameter(torch.randn(D) * 0.02)
        self.a = torch.nn.Parameter(torch.zeros(D))
        self.tau = torch.nn.Parameter(torch.tensor(1.0))
        self.gate = torch.nn.Linear(D, D)
        self.down = torch.nn.Linear(D, R)
        self.up = torch.nn.Linear(R, D)
        self.pos = torch.nn.Parameter(torch.randn(T, N, D) * 0.02)

    def forward(self, x, c):
        x = x + self.pos
        h = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * self.norm
        change = h - torch.cat([h[:, :1], h[:, :-1]], 1)
        g = torch.sigmoid((self.w * change).sum(-1, keepdim=True))
        h = h + self.a * g * change
        e = h.square().mean(1) / F.softplus(self.tau)
        h = h * (D * torch.softmax(e, -1)).unsqueeze(1)
        gate = self.gate(F.silu(c))[:, None, None]
        down = self.down(30 * torch.tanh(h / 30))
        return x + gate * self.up(F.silu(down))


def ours(rt, plan, start, threads):
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    out = subprocess.run([rt, "bench", plan, "--program", "grad", "--count", "7", *start], env=env,
                         capture_output=True, text=True, check=True).stdout
    return float(re.search(r"run: [\d.]+ ms, ([\d.]+) ms of it in steps", out).group(1))


def theirs(step):
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        step()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.mean(times[1:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(HERE, "../../build/release/bin"),
                        help="folder of dfmc and dfm-rt")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    dfmc, dfm_rt = os.path.join(args.bin, "dfmc"), os.path.join(args.bin, "dfm-rt")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    block = MotionMix()
    same.shake(block)
    compiled = torch.compile(block)
    x, c = torch.randn(B, T, N, D), torch.randn(B, D)

    def step():
        block.zero_grad(set_to_none=True)
        compiled(x, c).square().mean().backward()

    with tempfile.TemporaryDirectory() as folder:
        plan = os.path.join(folder, "novel_block.plan")
        source = os.path.join(HERE, "novel_block.dfm")
        subprocess.run([dfmc, "-q", source, "-o", plan], check=True)
        inputs = {"x": x, "c": c}
        start = same.write_start(folder, block, inputs, NAMES)
        same.prove(dfm_rt, plan, start, folder, block, compiled, inputs, NAMES, args.threads)
        pairs = [(theirs(step), ours(dfm_rt, plan, start, args.threads))
                 for _ in range(args.rounds)]
    ratios = sorted(t / o for t, o in pairs)
    print("torch.compile: least %.1f ms, median %.1f" %
          (min(t for t, _ in pairs), statistics.median(t for t, _ in pairs)))
    print("dfm:           least %.1f ms, median %.1f" %
          (min(o for _, o in pairs), statistics.median(o for _, o in pairs)))
    print("torch / dfm: median %.2f, from %.2f to %.2f in %d rounds" %
          (statistics.median(ratios), ratios[0], ratios[-1], len(ratios)))


if __name__ == "__main__":
    main()
