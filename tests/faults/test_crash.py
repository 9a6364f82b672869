#!/usr/bin/env python3
"""test_crash.py: a record of a training run that saves, prunes and is resumed; after every op of it the
machine may stop. Whatever then is on the disk (crash.py), `--resume` goes on from the last checkpoint that
was safe or a newer one, and ends with the bits of a run never stopped.

By default one save with its pruning; --all: the whole run, and a run that saves a step anew.
"""
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))
from crash import Op, crashes, read_record, snapshot  # noqa: E402
from harness import case, check, equal, log_lines, main  # noqa: E402

ALL = "--all" in sys.argv
if ALL:
    sys.argv.remove("--all")
SEED = time.time_ns() % 1000000
PARTS = ("model.safetensors", "ema.0.safetensors", "optim.safetensors", "state.json")
STEP = re.compile(r"step_(\d{8})$")


def results(run):
    newest = run / "ckpt" / (run / "ckpt/latest").read_text().strip()
    out = {name: (newest / name).read_bytes() for name in PARTS}
    out["log"] = [(l["step"], l["dfm_loss"], l["dfm_grad_norm"]) for l in log_lines(run)]
    return out


def commits(ops):
    """[(index, step)]: from behind op `index` on the checkpoint of `step` is safe."""
    return [(op.safe_at, int(STEP.search(op.other).group(1))) for op in ops
            if op.kind in ("rename", "exchange") and STEP.search(op.other) and op.safe_at is not None and
            ".tmp-" in op.path]


def recorded(kit, *words):
    """(ops, how many of them stand for what was there before)"""
    before = snapshot(kit.folder / "runs")
    kit.rt(*words, env=kit.environment(DFM_FAULT_RECORD=str(kit.folder / "record")))
    ops, n_before = read_record(kit.folder / "record", before)
    if before:
        ops.insert(0, Op("mkdir", path=str(kit.folder / "runs")))
        n_before += 1
        for op in ops:
            op.safe_at = 0 if op is ops[0] else op.safe_at and op.safe_at + 1
    check(len(ops) > 100, "the record has %d ops", len(ops))
    return ops, n_before


def after_each(kit, ops, first, last, words, want):
    """Resume from every state; the number of states."""
    states = crashes(ops, str(kit.folder), first, last, SEED)
    safe = commits(ops)
    numbers = [int(STEP.search(op.path).group(1)) for op in ops[:first - 1]
               if op.kind == "mkdir" and STEP.search(op.path)]
    there = max(numbers, default=0) if not safe or safe[0][0] >= first else 0

    def one(item):
        i, (at, way, tree) = item
        folder = kit.folder / ("state-%d" % i)
        tree.write(folder)
        done = kit.rt(*words, cwd=folder, code=None)
        what = "stopped behind op %d (%s), names/contents %s" % (at, ops[at - 1], way)
        check(done.code == 0, "%s: exits %d\n%s", what, done.code, done.err[-900:])
        done_before = [step for index, step in safe if index < at]
        least = done_before[-1] if done_before else there
        newer = [step for _, step in safe][len(done_before):][:1]        # the one being saved
        found = re.search(r"resuming .* after step (\d+)", done.err)
        step = int(found.group(1)) if found else 0
        check(step in [least] + newer, "%s: the checkpoint of step %d was safe, it goes on from %d\n%s",
              what, least, step, done.err[-900:])
        got = results(folder / "runs/r")
        for name in want:
            check(got[name] == want[name], "%s: %s differs, it went on from step %d of %d\n%s", what, name,
                  step, least, done.err[-900:])
        left = [p.name for p in (folder / "runs/r/ckpt").iterdir() if ".tmp" in p.name]
        shutil.rmtree(folder)
        steps = int(re.search(r"done: (\d+) steps", done.err).group(1))
        check(not left or step == steps, "%s: left behind: %s", what, left)    # the next save removes
        return step != least

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        ahead = list(pool.map(one, enumerate(states)))
    print("    ops %d to %d of %d: %d states; it goes on from the safe step %d times, from a newer one %d" % (
        first, last, len(ops), len(states), ahead.count(False), ahead.count(True)), flush=True)
    return len(states)


def words_of(plan, steps, keep, *more):
    return ["train", plan, "--resume", "run.name=r", "train.steps=%d" % steps, "train.ckpt_every=1",
            "train.ckpt_keep=%d" % keep, "run.threads=1", *more]


@case
def saving_and_pruning(kit):
    plan = kit.small_plan()
    words = words_of(plan, 3, 1)
    ops, _ = recorded(kit, *words)
    want = results(kit.folder / "runs/r")
    safe = commits(ops)
    equal([step for _, step in safe], [1, 2, 3], "steps saved")
    first, last = (1, len(ops)) if ALL else (safe[0][0] + 1, safe[1][0] + 12)
    check(after_each(kit, ops, first, last, words, want) >= 40, "too few states")


@case
def two_are_kept(kit):
    if not ALL:
        return
    plan = kit.small_plan()
    words = words_of(plan, 4, 2)
    ops, _ = recorded(kit, *words)
    after_each(kit, ops, 1, len(ops), words, results(kit.folder / "runs/r"))


@case
def a_step_that_is_saved_again(kit):
    """Going back to an older checkpoint: the step after it is there already and is exchanged."""
    plan = kit.small_plan()
    words = words_of(plan, 3, 0)
    kit.rt(*words, "-q")
    want = results(kit.folder / "runs/r")
    at = words.index("--resume") + 1
    ops, n_before = recorded(kit, *words[:at], "runs/r/ckpt/step_00000001", *words[at:])
    check([op for op in ops if op.kind == "exchange"], "nothing was exchanged")
    check(results(kit.folder / "runs/r") == want, "gone on from step 1 it differs")
    check(len([p for p in (kit.folder / "runs/r/ckpt").iterdir() if p.is_dir()]) == 3, "checkpoints")
    last = len(ops) if ALL else n_before + 110
    after_each(kit, ops, n_before + 1, last, words, want)


if __name__ == "__main__":
    print("seed %d" % SEED)
    main()
