#!/usr/bin/env python3
"""Exit codes and messages of dfm-rt, and what it leaves behind, on the toy plan of tests/exec.

    python3 rt_cli.py DFM_RT MAKE_TOY

Standard library only.
"""
import io
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

DFM_RT, MAKE_TOY = (str(Path(p).resolve()) for p in sys.argv[1:3])


def npy(values):
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }" % len(values)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + \
        struct.pack("<%df" % len(values), *values)


def shard(path, samples):
    """samples: list of (vector of 4, label)."""
    with tarfile.open(path, "w") as tar:
        for i, (x, label) in enumerate(samples):
            for name, data in (("x.npy", npy(x)), ("cls", str(label).encode())):
                info = tarfile.TarInfo("%04d.%s" % (i, name))
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def read_st(path):
    raw = Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + n])
    code = {"F32": "f", "I32": "i"}
    out = {}
    for name, t in head.items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        data = raw[8 + n + a:8 + n + b]
        out[name] = (t["shape"], struct.unpack("<%d%s" % ((b - a) // 4, code[t["dtype"]]), data))
    return out


def write_st(path, tensors):
    head, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        part = struct.pack("<%d%s" % (len(values), "f" if dtype == "F32" else "i"), *values)
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(head).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


class Rt(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="dfm-cli-"))
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder)
        self.toy("toy.plan", "data=data.tar")
        shard(self.folder / "data.tar", [([i, i + 1, i % 5, 1], i % 3) for i in range(11)])

    def toy(self, name, *options):
        subprocess.run([MAKE_TOY, name, *options], cwd=self.folder, check=True)

    def rt(self, *args, code=0, says=None):
        p = subprocess.run([DFM_RT, *args], cwd=self.folder, capture_output=True, text=True,
                           timeout=120)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        for words in [says] if isinstance(says, str) else says or []:
            self.assertIn(words, p.stdout + p.stderr)
        return p.stdout + p.stderr

    def log(self, run):
        lines = (self.folder / "runs" / run / "log.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def state(self, run, step):
        """All tensors of a checkpoint, as bytes."""
        folder = self.folder / "runs" / run / "ckpt" / ("step_%08d" % step)
        return {f.name: f.read_bytes() for f in folder.glob("*.safetensors")}

    # -- the command line ------------------------------------------------------------------------

    def test_help(self):
        self.rt(says=["usage: dfm-rt COMMAND", "train", "exit codes"])
        self.rt("--help", says="usage: dfm-rt COMMAND")
        self.rt("train", "--help", says=["usage: dfm-rt train PLAN", "--resume [DIR]", "--mock"])
        self.rt("help", "sample", says="usage: dfm-rt sample")
        self.rt("help", "config", says="`train.steps`")
        self.rt("help", "markdown", says=["### dfm-rt run", "| `--program NAME` |"])
        self.rt("version", says="dfm-rt ")
        self.rt("--version", says="dfm-rt ")
        self.assertNotIn("--mock", self.rt("sample", "--help"))

    def test_usage(self):
        self.rt("trian", code=64, says=["unknown command 'trian'", "did you mean 'train'?"])
        self.rt("train", code=64, says="needs a plan")
        self.rt("train", "toy.plan", "--mok", code=64, says=["no flag '--mok'", "did you mean '--mock'?"])
        self.rt("sample", "toy.plan", "--mock", code=64, says="has no flag '--mock'")
        self.rt("train", "toy.plan", "--mock=yes", code=64, says="--mock takes no value")
        self.rt("train", "toy.plan", "more", code=64, says="unexpected argument 'more'")
        self.rt("train", "toy.plan", "--config", code=64, says="--config needs FILE")
        self.rt("run", "toy.plan", "-o", "x", code=64, says="--program")
        self.rt("run", "toy.plan", "--program", "loss", code=64, says="-o FILE")
        self.rt("run", "toy.plan", "--program", "los", "-o", "x", code=64, says="did you mean 'loss'?")
        self.rt("help", "nothing", code=64, says="no help about 'nothing'")

    def test_configuration(self):
        self.rt("train", "toy.plan", "train.stesp=3", code=78, says="did you mean 'train.steps'?")
        self.rt("train", "toy.plan", "train.steps=many", code=78, says="train.steps")
        self.rt("train", "toy.plan", "train.lr=1", code=78, says="the learning rate is part of the plan")
        (self.folder / "c.yaml").write_text("train:\n  steps: 2\n  sede: 1\n")
        self.rt("train", "toy.plan", "--config", "c.yaml", code=78, says=["c.yaml:3:3", "train.seed"])
        (self.folder / "c.yaml").write_text("train:\n  steps: 2\nrun: {name: c}\n")
        self.rt("train", "toy.plan", "--config", "c.yaml", "train.steps=4")
        self.assertEqual(len(self.log("c")), 4)
        self.assertFalse((self.folder / "runs" / "toy-1").exists())

    def test_plans(self):
        self.rt("info", "toy.plan", says=["toy", "20 trainable of 24 in 3 tensors", "program sample"])
        self.rt("dis", "toy.plan", says=["loop i0 4 times, down", "k_update", "unless e is given"])
        self.rt("info", "none.plan", code=65, says="none.plan")
        whole = (self.folder / "toy.plan").read_bytes()
        (self.folder / "cut.plan").write_bytes(whole[:5000])
        self.rt("train", "cut.plan", code=65, says=["damaged plan", "cut.plan"])
        (self.folder / "bad.plan").write_bytes(whole[:9000] + b"\xff" + whole[9001:])
        self.rt("info", "bad.plan", code=65, says="damaged plan")
        self.toy("other.plan", "flag=amx_of_2040")
        self.rt("train", "other.plan", "--mock", code=69,
                says=["this one lacks amx_of_2040", "dfmc --target cpu:"])
        os.chmod(self.folder / "toy.plan", 0o666)
        self.rt("train", "toy.plan", code=65, says=["can be written by everybody", "--trust-plan"])
        self.rt("info", "toy.plan")
        self.rt("train", "toy.plan", "--trust-plan", "train.steps=1")

    def test_data(self):
        self.rt("train", "toy.plan", "data.path=none.tar", code=65, says="none.tar")
        self.assertFalse((self.folder / "runs").exists())
        (self.folder / "data.tar").rename(self.folder / "away.tar")
        self.rt("train", "toy.plan", code=65, says=["'data.tar' is not here", "data.path=", "--mock"])
        shard(self.folder / "short.tar", [([1, 2, 3], 0)])
        self.rt("train", "toy.plan", "data.path=short.tar", code=65, says=["short.tar", "x.npy"])
        self.rt("train", "toy.plan", "data.path=away.tar", "train.steps=1")
        self.rt("train", "toy.plan", "--mock", "train.steps=1")

    # -- training --------------------------------------------------------------------------------

    def test_run_folder(self):
        out = self.rt("train", "toy.plan", "train.steps=6")
        self.assertIn("runs/toy-1", out)
        self.rt("train", "toy.plan", "train.steps=2", "train.log_every=2")
        run = self.folder / "runs" / "toy-1"
        names = {p.name for p in run.iterdir()}
        self.assertEqual(names, {"config.yaml", "overrides.txt", "plan.plan", "plan.txt",
                                 "manifest.json", "log.jsonl", "ckpt"})
        self.assertEqual((run / "plan.plan").read_bytes(), (self.folder / "toy.plan").read_bytes())
        self.assertIn("steps: 6", (run / "config.yaml").read_text())
        self.assertEqual((run / "overrides.txt").read_text(), "train.steps=6\n")
        self.assertEqual(json.loads((run / "manifest.json").read_text())["model"], "toy")
        log = self.log("toy-1")
        self.assertEqual([x["step"] for x in log], [1, 2, 3, 4, 5, 6])
        self.assertLess(log[-1]["dfm_loss"], log[0]["dfm_loss"])
        self.assertEqual(log[0]["dfm_lr"], 0.5)
        self.assertEqual(log[2]["dfm_samples_total"], 6)
        self.assertEqual([x["step"] for x in self.log("toy-2")], [2])
        self.rt("train", "toy.plan", "run.name=toy-1", code=78, says="holds a run already")

    def test_seed_decides(self):
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            self.rt("train", "toy.plan", "train.steps=5", "run.name=" + name, "train.seed=%d" % seed)
        self.assertEqual(self.state("a", 5), self.state("b", 5))
        self.assertNotEqual(self.state("a", 5), self.state("c", 5))

    def resumes_exactly(self, *options):
        self.rt("train", "toy.plan", "train.steps=17", "run.name=whole", *options)
        self.rt("train", "toy.plan", "train.steps=9", "run.name=cut", "train.ckpt_every=4", *options)
        self.rt("train", "toy.plan", "--resume", "runs/cut", "train.steps=17", says="after step 9")
        self.assertEqual(self.state("whole", 17), self.state("cut", 17))
        keys = ("step", "dfm_loss", "dfm_lr", "dfm_grad_norm")
        logs = [[tuple(x[k] for k in keys) for x in self.log(n)] for n in ("whole", "cut")]
        self.assertEqual(logs[0], logs[1])

    def test_resume(self):
        self.resumes_exactly()                       # 17 steps of 2 cross the epochs of 11 samples

    def test_resume_accumulating(self):
        self.resumes_exactly("train.accumulate=3")

    def test_resume_choices(self):
        self.rt("train", "toy.plan", "--resume", "train.steps=3", says="starting a new run")
        self.rt("train", "toy.plan", "train.steps=3")
        time.sleep(0.02)
        self.rt("train", "toy.plan", "--resume", "train.steps=5", says="runs/toy-2 after step 3")
        self.rt("train", "toy.plan", "--resume", "runs/toy-1", says="after step 3", code=0)
        self.rt("train", "toy.plan", "--resume=runs/none", code=78, says="is no run folder")
        self.rt("train", "toy.plan", "--resume", "runs/toy-2", "train.seed=4", code=78,
                says="train.seed = 0, not 4")
        self.rt("train", "toy.plan", "--resume", "runs/toy-2", "train.accumulate=2", code=78,
                says="train.accumulate = 1, not 2")
        self.assertEqual(self.log("toy-2")[-1]["step"], 5)

    def test_damaged_checkpoint(self):
        self.rt("train", "toy.plan", "train.steps=6", "train.ckpt_every=2", "run.name=d")
        path = self.folder / "runs" / "d" / "ckpt" / "step_00000006" / "model.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
        self.rt("train", "toy.plan", "--resume", "runs/d", "train.steps=8",
                says=["warning", "after step 4"])
        self.assertEqual([x["step"] for x in self.log("d")], [1, 2, 3, 4, 5, 6, 7, 8])

    def test_signals(self):
        for sig in (signal.SIGINT, signal.SIGTERM):
            name = "s%d" % sig
            p = subprocess.Popen([DFM_RT, "train", "toy.plan", "train.steps=9000000",
                                  "run.name=" + name, "train.ckpt_every=0", "train.log_every=1000"],
                                 cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True)
            log = self.folder / "runs" / name / "log.jsonl"
            for _ in range(500):
                if log.exists() and log.stat().st_size:
                    break
                time.sleep(0.02)
            p.send_signal(sig)
            out = p.communicate(timeout=60)[0]
            self.assertEqual(p.returncode, 75, out)
            self.assertIn("checkpoint saved", out)
            step = self.log(name)[-1]["step"]
            self.rt("train", "toy.plan", "--resume", "runs/" + name, "train.steps=%d" % (step + 2))
            self.assertEqual(self.log(name)[-1]["step"], step + 2)

    def test_kill(self):
        """kill -9 at any moment leaves a whole checkpoint."""
        p = subprocess.Popen([DFM_RT, "train", "toy.plan", "train.steps=9000000", "run.name=k",
                              "train.ckpt_every=3", "-q"], cwd=self.folder)
        latest = self.folder / "runs" / "k" / "ckpt" / "latest"
        for _ in range(500):
            if latest.exists():
                break
            time.sleep(0.02)
        time.sleep(0.3)
        p.kill()
        p.wait()
        step = int(latest.read_text().strip().split("_")[1])
        out = self.rt("train", "toy.plan", "--resume", "runs/k", "train.steps=%d" % (step + 9))
        self.assertIn("after step", out)

    def test_divergence(self):
        self.toy("nan.plan", "nan=1", "data=data.tar")
        self.rt("train", "nan.plan", "run.name=n", "train.ckpt_every=2", code=65,
                says=["the loss became NaN in step 4", "--resume runs/n"])
        self.assertEqual((self.folder / "runs/n/ckpt/latest").read_text().strip(), "step_00000002")
        self.assertEqual(self.log("n")[-1]["dfm_loss"], "nan")

    def test_cannot_write(self):
        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        p = subprocess.run([DFM_RT, "train", "toy.plan", "--mock"], cwd=self.folder, text=True,
                           capture_output=True, preexec_fn=small_files, timeout=60)
        self.assertEqual(p.returncode, 73, p.stderr)
        self.assertIn("runs/toy-1/plan.plan", p.stderr)
        self.assertNotIn("plan.plan", {f.name[:9] for f in (self.folder / "runs/toy-1").iterdir()})
        shutil.rmtree(self.folder / "runs")
        (self.folder / "runs").write_text("a file in the way")
        self.rt("train", "toy.plan", "--mock", code=73, says="runs")

    def test_weights_to_start_from(self):
        self.rt("train", "toy.plan", "train.steps=5", "run.name=a")
        self.rt("train", "toy.plan", "train.steps=1", "run.name=b", "--weights", "runs/a",
                says="weights: runs/a/ckpt/step_00000005")
        first = read_st(self.folder / "runs/a/ckpt/step_00000005/ema.0.safetensors")
        self.assertEqual(set(first), {"layer.w", "net.u", "pos"})
        write_st(self.folder / "few.safetensors", {"net.u": ("F32", [5], [0.0] * 5)})
        self.rt("train", "toy.plan", "--weights", "few.safetensors", code=65,
                says=["missing in the file", "layer.w", "of another shape", "net.u"])

    # -- sampling --------------------------------------------------------------------------------

    def test_sample(self):
        self.rt("sample", "toy.plan", code=65, says=["no trained weights", "dfm-rt train toy.plan"])
        self.rt("train", "toy.plan", "train.steps=5")
        self.rt("sample", "toy.plan", "sample.count=31", says="runs/toy-1/samples.safetensors")
        st = read_st(self.folder / "runs/toy-1/samples.safetensors")
        self.assertEqual(st["images"][0], [31, 1, 2, 2])
        self.assertEqual(st["labels"][1], tuple(i % 3 for i in range(31)))
        self.assertTrue(all(0 <= v <= 1 for v in st["images"][1]))
        picture = (self.folder / "runs/toy-1/samples.png").read_bytes()
        self.assertTrue(picture.startswith(b"\x89PNG"))
        # Sample i does not depend on how many there are; the weights are the averaged ones.
        self.rt("sample", "toy.plan", "sample.count=7", "-o", "seven")
        few = read_st(self.folder / "seven/samples.safetensors")
        self.assertEqual(few["images"][1], st["images"][1][:28])
        self.rt("sample", "toy.plan", "sample.count=7", "-o", "raw", "sample.ema=false")
        raw = read_st(self.folder / "raw/samples.safetensors")
        self.assertNotEqual(raw["images"][1], few["images"][1])
        u = read_st(self.folder / "runs/toy-1/ckpt/step_00000005/ema.0.safetensors")["net.u"][1]
        self.assertAlmostEqual(few["images"][1][0], u[0] / 20 + 0.5, delta=0.001)
        self.rt("sample", "toy.plan", "sample.classes=2", "sample.count=4", "-o", "two")
        self.assertEqual(read_st(self.folder / "two/samples.safetensors")["labels"][1], (0, 1, 0, 1))

    def test_sample_inputs(self):
        self.rt("train", "toy.plan", "train.steps=2", "run.name=a")
        weights = "runs/a/ckpt/step_00000002/model.safetensors"
        self.rt("sample", "toy.plan", "--weights", weights, code=65,
                says=["the sampler needs input 'y'", "sample.classes=N"])
        write_st(self.folder / "y.safetensors", {"y": ("I32", [3], [2, 0, 1])})
        self.rt("sample", "toy.plan", "--weights", weights, "--inputs", "y.safetensors",
                "sample.count=5", "-o", "out")
        st = read_st(self.folder / "out/samples.safetensors")
        self.assertEqual(st["labels"][1], (2, 0, 1, 2, 0))
        write_st(self.folder / "z.safetensors", {"z": ("I32", [3], [2, 0, 1])})
        self.rt("sample", "toy.plan", "--weights", weights, "--inputs", "z.safetensors",
                "sample.classes=3", code=65, says="no input 'z'")

    # -- run -------------------------------------------------------------------------------------

    def test_run(self):
        write_st(self.folder / "i.safetensors", {"x": ("F32", [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
                                                 "y": ("I32", [2], [1, 2])})
        args = ["run", "toy.plan", "--program", "forward", "-o", "o.safetensors"]
        self.rt(*args, code=65, says=["inputs are missing", "x: f32[B=2, N=4]", "y: i32[B=2]"])
        self.rt(*args, "--inputs", "i.safetensors")
        self.assertEqual(read_st(self.folder / "o.safetensors")["out"],
                         ([2, 4], (5, 4, 3, 2, 10, 9, 8, 7)))
        write_st(self.folder / "d.safetensors", {"x0": ("F32", [2, 4], [0.0] * 8),
                                                 "label": ("I32", [2], [0, 0]),
                                                 "e": ("F32", [2, 4], [0, 100, 200, 300] * 2)})
        args = ["run", "toy.plan", "--program", "grad", "-o", "g.safetensors"]
        self.rt(*args, "--inputs", "d.safetensors")
        out = read_st(self.folder / "g.safetensors")
        self.assertEqual(set(out), {"loss", "grad.layer.w", "grad.net.u", "grad.pos"})
        self.assertEqual(out["loss"][0], [])
        self.assertLess(abs(out["loss"][1][0]), 1e-12)
        self.rt(*args, "--inputs", "d.safetensors", "train.seed=2")
        self.assertAlmostEqual(read_st(self.folder / "g.safetensors")["grad.net.u"][1][0], 0.5,
                               places=5)                # u = seed + index: 2 too much / 4
        write_st(self.folder / "d.safetensors", {"x0": ("F32", [2, 4], [0.0] * 8),
                                                 "labl": ("I32", [2], [0, 0])})
        self.rt(*args, "--inputs", "d.safetensors", code=65, says=["inputs are missing", "label: i32"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
