#!/usr/bin/env python3
"""test_compile_time.py: compile time and the number of kernels do not depend on the number of layers.

    --paper    the times of the paper's sizes too, cold (goal for XL/2: 10 s on two free cores)
"""
import re
import sys

from harness import case, check, equal, main


def compiled(kit, *flags):
    """({phase: ms}, number of kernels, seconds) without the cache."""
    done = kit.dfmc(kit.source / "models/dit.dfm", "-o", "x.plan", "--no-cache", "--time-passes", *flags)
    phases = {name: float(ms) for name, ms in re.findall(r"^  (\w+) +([\d.]+) ms$", done.err, re.M)}
    kernels = int(re.search(r"(\d+) kernels", done.err).group(1))
    check({"front", "passes", "kernelize", "memory", "code", "plan"} <= set(phases), "phases: %s", phases)
    return phases, kernels, done.seconds


@case
def independent_of_the_number_of_layers(kit):
    base = ["--set", "dim.D=48", "--set", "dim.B=8"]
    few, many = [], []
    for _ in range(3):                                   # the least of three: others use the machine too
        few.append(compiled(kit, *base, "--set", "dim.L=2"))
        many.append(compiled(kit, *base, "--set", "dim.L=56"))
    equal(many[0][1], few[0][1], "kernels of 56 layers and of 2")
    for phase in few[0][0]:
        a, b = (min(run[0][phase] for run in runs) for runs in (few, many))
        print("    %-10s %8.1f ms with 2 layers, %8.1f ms with 56" % (phase, a, b))
        check(b < 1.6 * a + 15, "phase %s takes %.1f ms with 2 layers, %.1f ms with 56", phase, a, b)
    texts = [kit.dfmc(kit.source / "models/dit.dfm", *base, "--set", "dim.L=%d" % n, "--emit=c").out
             for n in (2, 56)]
    lines = [t.count("\n") for t in texts]
    check(abs(lines[1] - lines[0]) < 0.01 * lines[0], "lines of generated code: %s", lines)


@case
def of_the_largest_variant(kit):
    variants = ("S/2", "B/2", "L/2", "XL/2") if PAPER else ("XL/2",)
    for variant in variants:
        phases, kernels, seconds = compiled(kit, "--variant", variant)
        print("    %s cold: %.2f s (%s), %d kernels" % (
            variant, seconds, ", ".join("%s %.0f ms" % p for p in phases.items()), kernels))
        check(seconds < 60, "%s takes %.1f s", variant, seconds)


PAPER = "--paper" in sys.argv
if PAPER:
    sys.argv.remove("--paper")

if __name__ == "__main__":
    main()
