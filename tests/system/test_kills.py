#!/usr/bin/env python3
"""test_kills.py: a training that saves after every step is ended at random instants, hundreds of times: by
kill -9 at any instant, while it saves, while it starts or resumes, twice in a row; by SIGTERM and SIGINT,
also with kill -9 on their heels; by a disk that is full. It always goes on, loses no step that was saved,
and ends with the bits of a run never stopped.

    --kills N    endings in all (default 200)
"""
import os
import random
import signal
import subprocess
import sys
import time

from harness import CASES, case, check, equal, main, small_files
from test_resume import newest, results

KILLS = 200
if "--kills" in sys.argv:
    at = sys.argv.index("--kills")
    KILLS = int(sys.argv[at + 1])
    del sys.argv[at:at + 2]
CASES.clear()                               # those of test_resume run there
STEPS = 30
WIDE, LIMIT = ["--set", "dim.D=48"], 700000     # checkpoints larger than the plan; between the two


def saved_step(run):
    """Of the newest checkpoint that `latest` names; 0: none."""
    try:
        return int(newest(run).name[5:])
    except FileNotFoundError:
        return 0


class Victim:
    def __init__(self, kit, rng, words, run, start):
        self.kit, self.rng, self.words, self.run, self.start = kit, rng, words, run, start
        self.count = {}

    def begin(self, before=None):
        log = open(self.kit.folder / "started.log", "ab")
        p = subprocess.Popen([str(w) for w in self.words], cwd=self.kit.folder, stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL, env=self.kit.environment(), preexec_fn=before)
        log.close()
        return p

    def while_saving(self, p):
        """Wait until a checkpoint is being written or pruned, and perhaps some more."""
        limit = time.monotonic() + 10
        while p.poll() is None and time.monotonic() < limit:
            try:
                if any(".tmp-" in name for name in os.listdir(self.run / "ckpt")):
                    break
            except FileNotFoundError:
                pass
        time.sleep(self.rng.uniform(0, 0.02))

    def kill(self, wait):
        p = self.begin()
        wait(p)
        p.kill()
        return p.wait(), (-9, 0)

    def signals(self, sig, then_kill):
        p = self.begin()
        time.sleep(self.rng.uniform(self.start, 3 * self.start))
        p.send_signal(sig)
        if then_kill:
            time.sleep(self.rng.uniform(0, 0.03))
            p.kill()
        # Before it has its handlers a signal ends it at once.
        return p.wait(60), (75, 0, -sig, -9 if then_kill else 75)

    def full(self):
        return self.begin(small_files(LIMIT)).wait(60), (73, 0)

    def once(self):
        """End it in one of the ways: (name, status, whether that may be)."""
        uniform = lambda p: time.sleep(self.rng.uniform(0, 4 * self.start))  # noqa: E731
        early = lambda p: time.sleep(self.rng.uniform(0, self.start))        # noqa: E731
        way = self.rng.choices(("any instant", "saving", "starting", "SIGTERM", "SIGINT", "SIGTERM, kill",
                                "full disk"), (40, 30, 12, 5, 4, 5, 4))[0]
        status, allowed = {
            "any instant": lambda: self.kill(uniform), "saving": lambda: self.kill(self.while_saving),
            "starting": lambda: self.kill(early), "SIGTERM": lambda: self.signals(signal.SIGTERM, False),
            "SIGINT": lambda: self.signals(signal.SIGINT, False),
            "SIGTERM, kill": lambda: self.signals(signal.SIGTERM, True), "full disk": self.full}[way]()
        if status:
            self.count[way] = self.count.get(way, 0) + 1
        return way, status, status in allowed


@case
def ended_at_random_instants(kit):
    plan, seed = kit.small_plan("wide.plan", *WIDE), time.time_ns() % 1000000
    rng, total, runs, differ = random.Random(seed), {}, 0, 0
    base = ["train", plan, "--resume", "train.steps=%d" % STEPS, "train.ckpt_every=1", "run.threads=1", "-q"]
    kit.rt(*base, "run.name=whole")
    want = results(kit.folder / "runs/whole")
    began = time.monotonic()
    kit.rt(*base, "run.name=one", "train.steps=1")
    start = time.monotonic() - began
    while sum(total.values()) < KILLS:
        name, saved = "r%d" % runs, 0
        run = kit.folder / "runs" / name
        words = [kit.rt_path, *base, "run.name=" + name, "train.ckpt_keep=%d" % rng.choice((1, 1, 2, 3))]
        victim = Victim(kit, rng, words, run, start)
        while sum(victim.count.values()) < 40 and saved < STEPS:
            way, status, fine = victim.once()
            check(fine, "seed %d, run %d, %s: it exits %d\n%s", seed, runs, way, status,
                  (kit.folder / "started.log").read_text()[-1500:])
            now = saved_step(run)
            check(now >= saved, "seed %d, run %d, %s: step %d was saved, %d is left", seed, runs, way, saved, now)
            saved = now
        kit.run(*words)
        got = results(run)
        bad = [part for part in want if got[part] != want[part]]
        differ += bool(bad)
        check(not bad, "seed %d, run %d: %s differ from a run never stopped", seed, runs, bad)
        left = [p.name for p in (run / "ckpt").iterdir() if ".tmp-" in p.name]
        check(not left, "seed %d, run %d: left behind: %s", seed, runs, left)
        for way, n in victim.count.items():
            total[way] = total.get(way, 0) + n
        runs += 1
    print("    seed %d: ended %d times in %d runs, %d differences: %s" % (
        seed, sum(total.values()), runs, differ, ", ".join("%s %d" % item for item in sorted(total.items()))))
    equal(differ, 0, "runs that differ")
    check(KILLS < 100 or len(total) >= 6, "ways: %s", total)


if __name__ == "__main__":
    main()
