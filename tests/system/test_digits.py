#!/usr/bin/env python3
"""test_digits.py: the whole training of the digits model, judged. Minutes; not among the usual tests:

    ctest -C Slow -R system_digits --output-on-failure

A classifier that has seen only real digits must read the generated ones as their labels; a model that
was trained with permuted labels must draw what the permutation says.
"""
import os
import sys
import time

from harness import case, check, log_lines, main

PERMUTATION = "7890123456"


def judged(kit, plan, name, data, *words):
    judge = os.environ.get("DFM_JUDGE")
    check(judge, "DFM_JUDGE, the judge's program, is not set")
    began = time.monotonic()
    kit.rt("train", plan, "run.name=" + name, "data.path=%s" % data, "-q", limit=1500)
    lines = log_lines(kit.folder / "runs" / name)
    last = sum(l["dfm_loss"] for l in lines[-50:]) / 50
    print("    %s: %d steps in %.0f s, loss of the last 50: %.4f" % (
        name, len(lines), time.monotonic() - began, last))
    began = time.monotonic()
    kit.rt("sample", plan, "--weights", "runs/" + name, "-o", "runs/" + name, "sample.count=1000", "-q",
           limit=600)
    print("    1,000 samples in %.0f s" % (time.monotonic() - began))
    done = kit.run(judge, "runs/%s/samples.safetensors" % name, kit.source / "models/data/digits.tar",
                   "--min-samples", "1000", *words, code=None)
    print("".join("      %s\n" % line for line in done.out.splitlines()), end="")
    return done


@case
def digits(kit):
    plan = kit.folder / "dit.plan"
    kit.dfmc(kit.source / "models/dit.dfm", "-q", "-o", plan)
    own = kit.source / "models/data/digits.tar"
    done = judged(kit, plan, "own", own)
    check(done.code == 0, "the judge refuses the pictures:\n%s%s", done.out, done.err)
    permuted = kit.folder / "permuted.tar"
    kit.run(sys.executable, kit.source / "tests/judge/permute_labels.py", own, PERMUTATION, permuted)
    done = judged(kit, plan, "permuted", permuted, "--permuted", PERMUTATION)
    check(done.code == 0, "the judge refuses the pictures of permuted labels:\n%s%s", done.out, done.err)
    done = kit.run(os.environ["DFM_JUDGE"], "runs/permuted/samples.safetensors", own, code=None)
    check(done.code == 1, "the judge accepts permuted labels without knowing:\n%s", done.out)


if __name__ == "__main__":
    main()
