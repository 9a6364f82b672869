#!/usr/bin/env python3
"""dfmc and dfm-rt together on models/dit.dfm: the user's commands, at a small size.

    python3 dit_cli.py DFMC DFM_RT SOURCE_ROOT

Standard library only.
"""
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DFMC, DFM_RT, SOURCE = (str(Path(p).resolve()) for p in sys.argv[1:4])
SMALL = ["--set", "dim.D=32", "--set", "dim.L=2", "--set", "dim.H=2", "--set", "dim.F=64"]


def read_st(path):
    raw = Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            kind = {"F32": "f", "I32": "i"}[t["dtype"]]
            out[name] = (t["shape"], struct.unpack("<%d%s" % ((b - a) // 4, kind),
                                                   raw[8 + n + a:8 + n + b]))
    return out


def distance(a, b):
    return (sum((x - y) ** 2 for x, y in zip(a, b)) / max(sum(y * y for y in b), 1e-30)) ** 0.5


class Dit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="dfm-dit-"))
        os.umask(0o022)
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.call(DFMC, SOURCE + "/models/dit.dfm", "-o", "dit.plan", "--set", "dim.B=32", *SMALL)
        cls.call(DFM_RT, "train", "dit.plan", "train.steps=24", "run.name=whole")

    @classmethod
    def call(cls, *args):
        p = subprocess.run(args, cwd=cls.folder, capture_output=True, text=True, timeout=250)
        if p.returncode != 0:
            raise AssertionError("%s\n%s%s" % (" ".join(args), p.stdout, p.stderr))
        return p.stdout + p.stderr

    def checkpoint(self, run, step):
        folder = self.folder / "runs" / run / "ckpt" / ("step_%08d" % step)
        return {f.name: f.read_bytes() for f in folder.glob("*.safetensors")}

    def test_learns(self):
        lines = (self.folder / "runs/whole/log.jsonl").read_text().splitlines()
        loss = [json.loads(line)["dfm_loss"] for line in lines]
        self.assertEqual(len(loss), 24)
        self.assertLess(sum(loss[-4:]), sum(loss[:4]))

    def test_resumes_bit_for_bit(self):
        self.call(DFM_RT, "train", "dit.plan", "train.steps=11", "run.name=cut")
        self.call(DFM_RT, "train", "dit.plan", "--resume", "runs/cut", "train.steps=24")
        whole, cut = self.checkpoint("whole", 24), self.checkpoint("cut", 24)
        self.assertEqual(set(whole), {"model.safetensors", "ema.0.safetensors", "optim.safetensors"})
        self.assertEqual(whole, cut)

    def test_parts_equal_the_whole_batch(self):
        """Half the batch, two parts: the same draws and the mean of the gradients."""
        self.call(DFMC, SOURCE + "/models/dit.dfm", "-o", "half.plan", "--set", "dim.B=16", *SMALL)
        self.call(DFM_RT, "train", "half.plan", "train.steps=3", "run.name=half", "train.accumulate=2")
        self.call(DFM_RT, "train", "dit.plan", "train.steps=3", "run.name=full")
        optim = [read_st(self.folder / "runs" / n / "ckpt/step_00000003/optim.safetensors")
                 for n in ("half", "full")]
        for name, (_, values) in optim[1].items():
            self.assertLess(distance(optim[0][name][1], values), 1e-4, name)

    def test_samples_do_not_depend_on_the_batch(self):
        self.call(DFMC, SOURCE + "/models/dit.dfm", "-o", "odd.plan", "--set", "dim.B=13", *SMALL)
        self.call(DFM_RT, "sample", "dit.plan", "--weights", "runs/whole", "sample.count=40", "-o", "a")
        self.call(DFM_RT, "sample", "odd.plan", "--weights", "runs/whole", "sample.count=30", "-o", "b")
        a, b = (read_st(self.folder / n / "samples.safetensors") for n in "ab")
        self.assertEqual(a["images"][0], [40, 1, 8, 8])
        self.assertEqual(a["labels"][1], tuple(i % 10 for i in range(40)))
        self.assertEqual(b["labels"][1], a["labels"][1][:30])
        self.assertLess(distance(b["images"][1], a["images"][1][:30 * 64]), 1e-4)
        self.assertNotEqual(a["images"][1][:640], a["images"][1][640:1280])
        self.assertTrue((self.folder / "a/samples.png").read_bytes().startswith(b"\x89PNG"))

    def test_remarks_name_every_kernel(self):
        args = [DFMC, SOURCE + "/models/dit.dfm", "--set", "dim.B=32", *SMALL, "--emit", "kernel"]
        text = self.call(*args, "--remarks").splitlines()
        made = {re.search(r"kernel '([^']+)' makes", l).group(1) for l in text if "' makes " in l}
        kernels = {m.group(1) for m in map(re.compile(r" *(?:kernel|gemm .* then) (\S+) .*{$").match,
                                           text) if m}
        fused = [l for l in text if "not fused" in l]
        self.assertTrue(made)
        self.assertEqual(made, kernels)
        self.assertTrue(any("sums over its rows" in l for l in text))
        self.assertTrue(fused and all(re.search(r"rule 3\.[1-6]: ", l) for l in fused))

    def test_other_sizes_are_refused(self):
        self.call(DFMC, SOURCE + "/models/dit.dfm", "-o", "wide.plan", "--set", "dim.B=4", "--set",
                  "dim.D=48", "--set", "dim.L=3", "--set", "dim.H=2")
        p = subprocess.run([DFM_RT, "sample", "wide.plan", "--weights", "runs/whole"],
                           cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(p.returncode, 65)
        for words in ("missing in the file", "blocks.2.", "of another shape", "and "):
            self.assertIn(words, p.stderr)


    def test_processor_levels(self):
        """Code for every level of this processor: the same draws bit for bit, the same loss."""
        losses, weights = {}, {}
        for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4"):
            plan = level + ".plan"
            self.call(DFMC, SOURCE + "/models/dit.dfm", "-o", plan, "--target", "cpu:" + level,
                      "--set", "dim.B=8", *SMALL)
            p = subprocess.run([DFM_RT, "train", plan, "train.steps=1", "train.lr=1e-30",
                                "run.name=" + level], cwd=self.folder, capture_output=True, text=True)
            if p.returncode == 69:
                self.assertIn("another processor", p.stderr)
                continue
            self.assertEqual(p.returncode, 0, p.stderr)
            line = (self.folder / "runs" / level / "log.jsonl").read_text().splitlines()[0]
            losses[level] = json.loads(line)["dfm_loss"]
            st = read_st(self.folder / "runs" / level / "ckpt/step_00000001/model.safetensors")
            weights[level] = {n: [x if abs(x) > 1e-20 else 0 for x in v] for n, (_, v) in st.items()}
        self.assertIn("x86-64-v2", losses)
        first = losses["x86-64-v2"]
        for level in losses:
            self.assertLess(abs(losses[level] - first), 1e-5 * first, level)
            self.assertEqual(weights[level], weights["x86-64-v2"], level)

    def bench(self, *words, told=""):
        return subprocess.run([DFM_RT, "bench", "dit.plan", *words], cwd=self.folder, input=told,
                              capture_output=True, text=True, timeout=250)

    def check_trace(self, events):
        """Slices of one thread that nest: program, iteration, step; counters for every step."""
        slices = [e for e in events if e["ph"] == "X"]
        self.assertTrue(all((e["pid"], e["tid"]) == (1, 1) for e in slices))
        ns = lambda us: round(1000 * us)
        open_, depth = [], {"program": 0, "loop": 1, "step": 2}
        for e in slices:
            begin, end = ns(e["ts"]), ns(e["ts"]) + ns(e["dur"])
            self.assertTrue(0 <= begin <= end, e)
            while open_ and open_[-1][1] <= begin and (open_[-1][0], open_[-1][1]) != (begin, end):
                open_.pop()
            if open_:
                self.assertLessEqual(end, open_[-1][1], e)
                self.assertLess(depth[open_[-1][2]], depth[e["cat"]], e)
            if e["dur"] > 0:
                open_.append((begin, end, e["cat"]))
        self.assertEqual([e["name"] for e in slices if e["cat"] == "program"], ["step.grad", "step.update"])
        loops = [e["name"] for e in slices if e["cat"] == "loop"]
        self.assertEqual([n.split()[-1] for n in loops], ["0", "1", "1", "0"])      # forward, backward
        steps = [e for e in slices if e["cat"] == "step"]
        for name in ("GFLOP/s", "GB/s"):
            values = [e["args"]["value"] for e in events if e["ph"] == "C" and e["name"] == name]
            self.assertEqual(len(values), len(steps))
            self.assertTrue(max(values) > 0)
        return steps

    def test_bench_json(self):
        """The table as JSON: the parts make the whole; --inputs and --weights are taken or refused."""
        p = self.bench("--count", "1", "--json", "--program", "forward")
        self.assertEqual(p.returncode, 0, p.stderr)
        t = json.loads(p.stdout)
        self.assertEqual((t["program"], t["runs"]), ("forward", 1))
        self.assertAlmostEqual(sum(s["share"] for s in t["steps"]), 1, delta=1e-6)
        self.assertAlmostEqual(sum(s["seconds"] for s in t["steps"]), t["seconds_in_steps"], delta=1e-7)
        self.assertAlmostEqual(sum(s["calls"] * s["flops"] for s in t["steps"]), t["flops"],
                               delta=1e-6 * t["flops"])
        self.assertTrue(all(s["bytes"] > 0 for s in t["steps"]))
        self.assertEqual(self.bench("--weights", "nowhere").returncode, 65)
        self.assertEqual(self.bench("--inputs", "nowhere").returncode, 65)

    def test_bench_paced(self):
        """Runs when told; ends with the input; a line that is no number is refused."""
        p = self.bench("--paced", told="1\n3\n")
        self.assertEqual(p.returncode, 0, p.stderr)
        ready, one, three = (json.loads(line) for line in p.stdout.splitlines())
        self.assertTrue(ready["ready"] and ready["flops"] > 0)
        self.assertEqual((len(one["seconds"]), len(three["seconds"])), (1, 3))
        self.assertTrue(min(one["seconds"] + three["seconds"]) > 0)
        for line in ("x\n", "0\n", "1 2\n", "\n"):
            self.assertEqual(self.bench("--paced", told=line).returncode, 64, line)

    def test_bench(self):
        """One line per kernel; shares add up; the trace has every call; wrong words are refused."""
        p = self.bench("--count", "1", "--trace", "trace.json")
        self.assertEqual(p.returncode, 0, p.stderr)
        lines = [l for l in p.stdout.splitlines() if l.split()[0] in ("kernel", "gemm", "copy")]
        calls, share = zip(*((int(w[0]), float(w[2].rstrip("%"))) for w in (l[41:].split() for l in lines)))
        self.assertGreater(len(lines), 20)
        self.assertAlmostEqual(sum(share), 100, delta=0.06 * len(lines))
        events = json.loads((self.folder / "trace.json").read_text())["traceEvents"]
        self.assertEqual(len(self.check_trace(events)), sum(calls))
        p = self.bench("--count", "1", "--program", "step.accumulate")
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(self.bench("--program", "stepp").returncode, 78)
        self.assertEqual(self.bench("--count", "0").returncode, 64)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
