#!/usr/bin/env python3
"""test_faults.py: every call of the two programs to the system fails once, in turn.

Whatever fails: the program ends with its own code and one error, or succeeds with the right result; the
files that were there stay; nothing temporary is left; a run of training goes on to the same bits. By
default a sample of the calls, other ones each time; --all: every call, and of memory the first 2,000 and
every 37th after them; --all --part K/N: a part of that.
"""
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
from harness import case, check, equal, log_lines, main  # noqa: E402

ALL = "--all" in sys.argv
if ALL:
    sys.argv.remove("--all")
PART = sys.argv[sys.argv.index("--part") + 1] if "--part" in sys.argv else "1/1"
if "--part" in sys.argv:
    del sys.argv[sys.argv.index("--part"):sys.argv.index("--part") + 2]
FIRST, STEP = (int(x) for x in PART.split("/"))
SEED = time.time_ns() % 1000000
WORKERS = min(4, os.cpu_count() or 1)
PARTS = ("model.safetensors", "ema.0.safetensors", "optim.safetensors", "state.json")

# What may be left: of the call that removes or renames, when it is that one that fails.
CLEANING = ("unlink", "rename", "open", "opendir", "readdir")
CODES = {"dfmc": {"memory": {3}, "files": {1, 3}}, "dfm-rt": {"memory": {71}, "files": {65, 69, 71, 73, 78}}}


class Program:
    """One command line, to be run with faults, each time in a new folder."""

    def __init__(self, kit, name, kind, words, prepare, verify):
        self.kit, self.name, self.kind, self.words = kit, name, kind, [str(w) for w in words]
        self.prepare, self.verify = prepare, verify

    def run(self, fault, folder):
        """(exit code, text, calls, failed, name of the failed call)"""
        work, tmp, count = folder / "work", folder / "tmp", folder / "count"
        work.mkdir(parents=True)
        tmp.mkdir(mode=0o700)
        count.write_bytes(bytes(64))
        self.prepare(work)
        env = self.kit.environment(TMPDIR=str(tmp))
        env.update(DFM_FAULT=fault, DFM_FAULT_COUNT=str(count))
        done = subprocess.run(self.words, cwd=work, env=env, stdin=subprocess.DEVNULL, timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        calls, failed, last = struct.unpack("<QQ48s", count.read_bytes())
        return done.returncode, done.stdout + done.stderr, calls, failed, last.rstrip(b"\0").decode()

    def judge(self, fault, folder):
        """None, or what is wrong; and the name of the failed call ("": none failed)."""
        group = "memory" if fault.startswith("memory") else "files"
        code, text, _, failed, last = self.run(fault, folder)
        wrong = []
        if code and not failed:
            wrong.append("nothing failed, but it exits %d" % code)
        if code and code not in CODES[self.kind][group]:
            wrong.append("exit code %d" % code)
        errors = len(re.findall(r"\berror(:|\[E)", text))
        dead = fault.startswith("files:") and ":forever" in fault       # nothing can be tidied up
        if code and errors != 1 and not (dead and errors > 1):
            wrong.append("it says error %d times" % errors)
        if code == 0 and group == "memory" and failed:
            wrong.append("no memory, but it succeeds")
        if ":EINTR:" in fault and ":forever" not in fault and code and last in ("read", "pread", "write", "open", "sync"):
            wrong.append("an interrupted call is not made again")
        if ":short:" in fault and code:
            wrong.append("a short read or write is not continued")
        if last not in CLEANING and not dead:
            left = [str(p.relative_to(folder)) for p in folder.rglob("*")
                    if ".tmp-" in p.name or "-gone" in p.name or p.parent.name == "tmp"]
            if left:
                wrong.append("left behind: %s" % left)
        if not wrong:
            try:
                self.verify(folder / "work", code, text)
            except Exception as failure:
                wrong.append(str(failure))
        if wrong:
            return "%s, %s (%s): %s\n%s" % (self.name, fault, last, "; ".join(wrong), text[-600:]), last
        return None, last

    def all(self, calls, what, which, tail=""):
        """Faults at each number of `which(total)`; the number of those that hit."""
        root = self.kit.folder / ("%s-%s-%s-%s" % (self.name, calls[:20], what, tail.strip(":")))
        code, text, total, _, _ = self.run("%s:%s:0" % (calls, what), root / "count")
        check(code == 0, "%s: without faults it exits %d\n%s", self.name, code, text)
        numbers = which(total)[FIRST - 1::STEP]

        def one(n):
            folder = root / str(n)
            out = self.judge("%s:%s:%d%s" % (calls, what, n, tail), folder)
            shutil.rmtree(folder, ignore_errors=True)
            return out

        with ThreadPoolExecutor(WORKERS) as pool:
            results = list(pool.map(one, numbers))
        bad = [r[0] for r in results if r[0]]
        print("    %-8s %-10s %-7s%-9s %5d of %6d calls, %5d hit, %d wrong" % (
            self.name, calls, what, tail, len(numbers), total, len([r for r in results if r[1]]), len(bad)),
            flush=True)
        check(not bad, "seed %d: %d wrong, the first:\n%s", SEED, len(bad), "\n".join(bad[:3]))


def memory_numbers(total):
    if ALL:
        return list(range(1, min(total, 2000) + 1)) + list(range(2001, total + 1, 37))
    return sorted(random.Random(SEED).sample(range(1, total + 1), min(total, 20)))


def file_numbers(total):
    if ALL:
        return list(range(1, total + 1))
    return sorted(random.Random(SEED + 1).sample(range(1, total + 1), min(total, 8)))


def every_kind(program):
    """Memory; then each way in which a call on a file can go wrong, once and from then on."""
    program.all("memory", "ENOMEM", memory_numbers)
    for what in ("EIO", "ENOSPC") if not ALL else ("EIO", "ENOSPC", "EMFILE", "EACCES"):
        program.all("files", what, file_numbers)
    program.all("files", "EIO", file_numbers, ":forever")
    program.all("write,sync,mkdir", "ENOSPC", file_numbers, ":forever")
    program.all("read,pread,write,open,sync", "EINTR", file_numbers)
    program.all("read,pread,write", "short", file_numbers)


def compiler(kit, name, *flags):
    words = [kit.dfmc_path, kit.source / "models/dit.dfm", "-q", "-o", "out.plan", "--jobs", "2", *flags,
             "--set", "dim.B=4", "--set", "dim.D=8", "--set", "dim.L=1", "--set", "dim.H=2", "--set", "dim.K=8"]
    kit.run(*words[:4], "good.plan", *words[5:])
    good = (kit.folder / "good.plan").read_bytes()

    def prepare(work):
        (work / "out.plan").write_text("an earlier plan")

    def verify(work, code, text):
        equal([p.name for p in work.iterdir() if ".tmp-" not in p.name], ["out.plan"], "files")
        is_now = (work / "out.plan").read_bytes()
        # After a failed sync of the folder the new plan may be there, whole.
        check(is_now == good or (code and is_now == b"an earlier plan"), "the plan is half-written")

    return Program(kit, name, "dfmc", words, prepare, verify)


@case
def compiling(kit):
    every_kind(compiler(kit, "compile", "--target", "cpu:x86-64-v3"))


@case
def compiling_without_a_cache(kit):
    """Few: the host compiler takes its time."""
    program = compiler(kit, "cold", "--no-cache", "--target", "cpu:x86-64-v2")
    some = 60 if ALL else 2

    def last(total):                        # where the host compiler is at work
        return sorted(random.Random(SEED).sample(range(total * 3 // 4, total + 1), some))

    program.all("memory", "ENOMEM", last)
    program.all("files", "EIO", lambda n: sorted(random.Random(SEED).sample(range(1, n + 1), some)))


def newest(run):
    return run / "ckpt" / (run / "ckpt/latest").read_text().strip()


def results(run):
    out = {name: (newest(run) / name).read_bytes() for name in PARTS}
    out["log"] = [(l["step"], l["dfm_loss"], l["dfm_grad_norm"]) for l in log_lines(run)]
    return out


@case
def training(kit):
    plan = kit.small_plan()
    words = [kit.rt_path, "train", plan, "run.name=r", "train.steps=3", "train.ckpt_every=1",
             "train.ckpt_keep=1", "run.threads=1", "-q"]
    kit.run(*words)
    want = results(kit.folder / "runs/r")

    def verify(work, code, text):
        """Go on, without faults: the same bits as if nothing had happened."""
        kit.run(*words, "--resume", cwd=work)
        got = results(work / "runs/r")
        for name in want:
            check(got[name] == want[name], "%s differs after it went on", name)
        equal(len([p for p in (work / "runs/r/ckpt").iterdir() if ".tmp" in p.name]), 0, "temporary folders")

    every_kind(Program(kit, "train", "dfm-rt", words, lambda work: None, verify))
    resume = Program(kit, "resume", "dfm-rt", words + ["--resume"],
                     lambda work: shutil.copytree(half / "runs", work / "runs"), verify)
    half = kit.folder / "half"
    half.mkdir()
    kit.run(*words, "train.steps=2", cwd=half)
    every_kind(resume)


@case
def sampling(kit):
    plan = kit.small_plan()
    kit.rt("train", plan, "run.name=r", "train.steps=2", "run.threads=1", "-q")
    words = [kit.rt_path, "sample", plan, "--weights", kit.folder / "runs/r", "-o", "made", "sample.count=4",
             "run.threads=1", "-q"]
    kit.run(*words)
    want = {p.name: p.read_bytes() for p in (kit.folder / "made").iterdir()}
    check(len(want) == 2, "made: %s", list(want))

    def verify(work, code, text):
        made = {p.name: p.read_bytes() for p in (work / "made").iterdir()} if (work / "made").exists() else {}
        made = {name: data for name, data in made.items() if ".tmp-" not in name}     # judged elsewhere
        for name, data in made.items():
            check(data == want.get(name), "%s is half-written", name)
        check(code or len(made) == 2, "it made %s", list(made))

    every_kind(Program(kit, "sample", "dfm-rt", words, lambda work: None, verify))


if __name__ == "__main__":
    print("seed %d" % SEED)
    main()
