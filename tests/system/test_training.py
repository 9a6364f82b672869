#!/usr/bin/env python3
"""test_training.py: the digits model learns, twice the same; accumulation is a larger batch."""
import math
import sys

from harness import SMALL, case, check, equal, log_lines, main

STEPS = 60


def losses(kit, plan, name, *more):
    kit.rt("train", plan, "run.name=" + name, "train.steps=%d" % STEPS, "-q", *more)
    lines = log_lines(kit.folder / "runs" / name)
    equal([l["step"] for l in lines], list(range(1, STEPS + 1)), "steps of %s" % name)
    return [l["dfm_loss"] for l in lines]


def mean(values):
    return sum(values) / len(values)


def learns(values, bound):
    first, last = mean(values[:10]), mean(values[-10:])
    print("    loss of the first 10 steps %.3f, of the last 10 of %d: %.3f" % (first, STEPS, last))
    check(all(math.isfinite(v) for v in values), "losses: %s", values)
    check(1.4 < first < 2.0, "loss at the start: %.3f", first)
    check(last < bound, "loss of the last 10 steps %.4f, expected below %.2f", last, bound)


@case
def the_digits_model_learns(kit):
    plan = kit.folder / "dit.plan"
    kit.dfmc(kit.source / "models/dit.dfm", "-q", "-o", plan)
    one = losses(kit, plan, "one")
    learns(one, 1.05)
    two = losses(kit, plan, "two")
    equal(two, one, "losses of a second run")
    for part in ("model", "ema.0", "optim"):
        a, b = ((kit.folder / "runs" / name / ("ckpt/step_%08d/%s.safetensors" % (STEPS, part))).read_bytes()
                for name in ("one", "two"))
        check(a == b, "%s of two runs differs", part)
    other = losses(kit, plan, "other-seed", "train.seed=1", "train.ckpt_every=0")
    check(other != one, "another seed gives the same losses")
    learns(other, 1.10)


@case
def it_learns_in_bf16(kit):
    plan = kit.folder / "dit.plan"
    kit.dfmc(kit.source / "models/dit.dfm", "--precision", "bf16", "-q", "-o", plan)
    learns(losses(kit, plan, "bf16"), 1.05)


@case
def labels_are_learned(kit):
    """The same pictures with other labels: another run from the second step on."""
    plan = kit.small_plan()
    digits, permuted = kit.source / "models/data/digits.tar", kit.folder / "permuted.tar"
    kit.run(sys.executable, kit.source / "tests/judge/permute_labels.py", digits, "7890123456", permuted)
    own = losses(kit, plan, "own", "data.path=%s" % digits, "run.threads=1")
    equal(losses(kit, plan, "default", "run.threads=1"), own, "losses with the default data")
    other = losses(kit, plan, "other", "data.path=%s" % permuted, "run.threads=1")
    check(other[0] == own[0], "the first loss cannot depend on labels: the model starts at zero")
    check(other[5:] != own[5:], "labels change nothing")


@case
def accumulation_is_a_larger_batch(kit):
    """Draws belong to samples, not to batches: 4 parts of 2 samples are 1 batch of 8."""
    large = kit.small_plan("large.plan", "--set", "dim.L=1", "--set", "dim.F=32")
    small = kit.folder / "small.plan"
    kit.dfmc(kit.source / "models/dit.dfm", *SMALL, "--set", "dim.L=1", "--set", "dim.F=32", "--set",
             "dim.B=2", "-q", "-o", small)
    one = losses(kit, large, "large", "run.threads=1")
    four = losses(kit, small, "small", "train.accumulate=4", "run.threads=1")
    worst = max(abs(a - b) / a for a, b in zip(one[:20], four[:20]))
    print("    largest relative difference of 20 losses: %.1e" % worst)
    check(worst < 1e-4, "losses differ: %s and %s", one[:5], four[:5])


if __name__ == "__main__":
    main()
