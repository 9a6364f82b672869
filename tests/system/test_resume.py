#!/usr/bin/env python3
"""test_resume.py: stopped and resumed is the same, bit for bit, as never stopped; kill -9 loses nothing
but the steps since the last checkpoint."""
import json
import random
import re
import signal
import time

from harness import case, check, equal, log_lines, main

PARTS = ("model.safetensors", "ema.0.safetensors", "optim.safetensors", "state.json")
SLOW = ["train.accumulate=48"]          # slow enough for a signal in the middle of the run


def newest(run):
    return run / "ckpt" / (run / "ckpt/latest").read_text().strip()


def results(run):
    """All that a run leaves: the parts of its last checkpoint and the numbers of every step."""
    out = {name: (newest(run) / name).read_bytes() for name in PARTS}
    lines = log_lines(run)
    equal([l["step"] for l in lines], list(range(1, len(lines) + 1)), "steps in %s" % run)
    out["log"] = [(l["dfm_loss"], l["dfm_lr"], l["dfm_grad_norm"], l["dfm_samples_total"])
                  for l in lines]
    return out


def same(run, want, how):
    got = results(run)
    for name in want:
        check(got[name] == want[name], "%s: %s differs from that of a run never stopped", how, name)


def train(kit, plan, name, steps, *more, code=0):
    return kit.rt("train", plan, "run.name=" + name, "train.steps=%d" % steps, "run.threads=1", *more,
                  code=code)


def logged(run):
    log = run / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def stop_in_the_middle(kit, plan, name, steps, sig, words):
    """Start a run, send the signal once a third of it is done, expect 75 and a checkpoint."""
    run = kit.folder / "runs" / name
    p = kit.start(kit.rt_path, "train", plan, "run.name=" + name, "train.steps=%d" % steps, *words)
    limit = time.monotonic() + 120
    while logged(run) < steps // 3 and p.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    p.send_signal(sig)
    equal(p.wait(120), 75, "exit status after signal %d" % sig)
    done = json.loads((newest(run) / "state.json").read_text())["step"]
    check(steps // 3 <= done < steps, "stopped after step %d of %d: not in the middle", done, steps)
    equal(logged(run), done, "lines of the log of a stopped run")
    return run, done


@case
def signals_then_resume(kit):
    plan = kit.small_plan()
    train(kit, plan, "whole", 24, *SLOW)
    want = results(kit.folder / "runs/whole")
    losses = [l[0] for l in want["log"]]
    check(len(set(losses)) == 24, "losses repeat: %s", losses)
    words = ["run.threads=1", *SLOW]
    for name, sig in (("term", signal.SIGTERM), ("int", signal.SIGINT)):
        run, done = stop_in_the_middle(kit, plan, name, 24, sig, words)
        again = kit.rt("train", plan, "--resume", run)          # with the configuration of the run
        again.says("after step %d" % done, "done: 24 steps")
        same(run, want, "signal %d after step %d" % (sig, done))
    # Stopped twice, resumed as the newest run and by its name.
    run, _ = stop_in_the_middle(kit, plan, "twice", 24, signal.SIGTERM, words)
    kit.rt("train", plan, "--resume", run, "train.steps=20")
    kit.rt("train", plan, "train.resume=true", "run.name=twice", "train.steps=24", "run.threads=1", *SLOW)
    same(run, want, "stopped twice")
    # A run that is done has nothing to do; resuming it changes nothing.
    before = results(run)
    kit.rt("train", plan, "--resume", run, "train.steps=24")
    same(run, before, "resumed when done")


@case
def periodic_checkpoint_then_resume(kit):
    plan = kit.small_plan()
    train(kit, plan, "whole", 24, "train.ckpt_every=7", "train.ckpt_keep=0")
    run = kit.folder / "runs/whole"
    equal(sorted(p.name for p in (run / "ckpt").iterdir()),
          ["latest"] + ["step_%08d" % s for s in (7, 14, 21, 24)], "checkpoints")
    want = results(run)
    # From an old checkpoint the run goes on from there; its log is cut to it first.
    for step in (7, 21):
        done = kit.rt("train", plan, "--resume", run / ("ckpt/step_%08d" % step), "run.threads=1")
        done.says("after step %d" % step)
        same(run, want, "from the checkpoint of step %d" % step)
    # Another kind of interruption: a new run up to 14 steps, then to 24.
    train(kit, plan, "short", 14)
    kit.rt("train", plan, "--resume", kit.folder / "runs/short", "train.steps=24")
    same(kit.folder / "runs/short", want, "14 steps, then 10")
    # What must not be the same: another seed, another order of the data.
    for word in ("train.seed=1", "data.seed=1", "data.shuffle=false"):
        name = word.replace("=", "-")
        train(kit, plan, name, 24, word)
        other = results(kit.folder / "runs" / name)
        check(other["log"] != want["log"], "%s changes nothing", word)
        check(other["model.safetensors"] != want["model.safetensors"], "%s changes no weight", word)
        kit.rt("train", plan, "--resume", run, word, "train.steps=30",
               code=78).says("was started with", word.split("=")[0])


@case
def default_threads_on_the_digits(kit):
    plan = kit.folder / "dit.plan"
    kit.dfmc(kit.source / "models/dit.dfm", "--set", "dim.B=32", "-q", "-o", plan)
    kit.rt("train", plan, "run.name=whole", "train.steps=12")
    want = results(kit.folder / "runs/whole")
    run, done = stop_in_the_middle(kit, plan, "cut", 12, signal.SIGTERM, [])
    kit.rt("train", plan, "--resume", run).says("after step %d" % done)
    same(run, want, "stopped after step %d" % done)


@case
def killed_at_random_instants(kit):
    """kill -9 while a checkpoint is written after every step. Always a whole one is left."""
    plan, steps, kills = kit.small_plan(), 130, 24
    words = ["train", plan, "--resume", "run.name=killed", "train.steps=%d" % steps,
             "train.ckpt_every=1", "run.threads=1", "-q"]
    began = time.monotonic()
    train(kit, plan, "whole", steps, "train.ckpt_every=1")
    whole = time.monotonic() - began
    want = results(kit.folder / "runs/whole")
    began = time.monotonic()
    train(kit, plan, "one", 1)
    start = time.monotonic() - began
    one_step = min(max(whole - start, 0) / steps, 0.05)
    seed = time.time_ns()
    rng = random.Random(seed)
    run, died, saved = kit.folder / "runs/killed", [], 0
    for _ in range(kills):
        goal = logged(run) + rng.randrange(4)
        p = kit.start(kit.rt_path, *words)
        if rng.random() < 0.25:
            time.sleep(rng.uniform(0, start))             # perhaps while it starts
        else:
            while logged(run) <= goal and p.poll() is None:
                time.sleep(0.0005)
            time.sleep(rng.uniform(0, one_step))          # perhaps while it saves
        p.kill()
        status = p.wait()
        check(status in (-9, 0), "seed %d: attempt %d exits %d: %s", seed, len(died), status,
              (kit.folder / "started.log").read_text()[-1500:])
        now = json.loads((newest(run) / "state.json").read_text())["step"] \
            if (run / "ckpt/latest").exists() else 0
        check(now >= saved, "seed %d: the checkpoint of step %d is lost, %d is left", seed, saved, now)
        saved = now
        died.append(now if status == -9 else "done")
    print("    checkpoints left by the kills: %s" % died)
    check(len([d for d in died if d != "done"]) >= 20, "only %s were killed", died)
    check(len(set(died)) >= 3, "the kills hit %s: not spread over the run", died)
    last = kit.rt(*[w for w in words if w != "-q"])
    found = re.search(r"after step (\d+)", last.err)
    # `latest` is written after the checkpoint is in place: the run may find one more than it names.
    check(found and saved <= int(found.group(1)) <= saved + 1 if saved else True,
          "seed %d: step %d was saved, but:\n%s", seed, saved, last.err)
    same(run, want, "seed %d" % seed)
    left = sorted(p.name for p in (run / "ckpt").iterdir())
    equal(left, ["latest"] + ["step_%08d" % s for s in (steps - 1, steps)], "what is left")


@case
def killed_before_the_first_step(kit):
    """A run folder that holds its configuration and nothing more: --resume starts from the beginning."""
    plan = kit.small_plan()
    train(kit, plan, "whole", 4, "train.seed=5", "-q")
    whole = kit.folder / "runs/whole"
    kit.write("runs/early/config.yaml", (whole / "config.yaml").read_text().replace("whole", "early"))
    kit.write("runs/early/overrides.txt.tmp-1", "")
    kit.rt("train", plan, "--resume", "runs/early").says("starting from the beginning")
    same(kit.folder / "runs/early", results(whole), "killed before the first step")
    kit.rt("train", plan, "--resume", "runs", code=78).says("no run folder", "run.name=")


@case
def a_damaged_checkpoint_is_not_used(kit):
    """The newest one is damaged: the run goes on from the one before, says so, and ends the same."""
    plan = kit.small_plan()
    train(kit, plan, "r", 8, "train.ckpt_every=4")
    run = kit.folder / "runs/r"
    want = results(run)
    for name in PARTS + ("MANIFEST",):
        path = newest(run) / name
        good = path.read_bytes()
        for bad in (good[:len(good) // 2], good[:-1] + bytes([good[-1] ^ 1]), None):
            if bad is None:
                path.unlink()
            else:
                path.write_bytes(bad)
            done = kit.rt("train", plan, "--resume", run, "run.threads=1", "train.steps=8")
            done.says("after step 4", "step_00000008")
            same(run, want, "with a damaged %s" % name)
            damaged = [p for p in (run / "ckpt").iterdir() if p.is_dir()]
            check(len(damaged) >= 2, "checkpoints: %s", damaged)
            path = newest(run) / name
            equal(path.read_bytes() if name in PARTS else b"", good if name in PARTS else b"", name)
            good = path.read_bytes()


if __name__ == "__main__":
    main()
