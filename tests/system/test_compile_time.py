#!/usr/bin/env python3
"""test_compile_time.py: what is compiled does not grow with the number of layers: kernels, steps, code.

Times are measured by benchmarks/compile_time.
"""
import re

from harness import case, check, equal, main

PHASES = ("front", "passes", "kernelize", "memory", "verify", "code", "plan", "total")


def compiled(kit, *flags):
    """(number of kernels, steps of all programs) of the DiT, compiled without the cache."""
    done = kit.dfmc(kit.source / "models/dit.dfm", "-o", "x.plan", "--no-cache", "--time-passes", *flags)
    phases = re.findall(r"^  (\w+) +[\d.]+ ms$", done.err, re.M)
    equal(phases, list(PHASES), "phases")
    steps = re.findall(r"^program .* (\d+) steps$", kit.rt("dis", "x.plan").out, re.M)
    return int(re.search(r"(\d+) kernels", done.err).group(1)), sum(map(int, steps))


@case
def independent_of_the_number_of_layers(kit):
    base = ["--set", "dim.D=48", "--set", "dim.B=8"]
    few, many = (compiled(kit, *base, "--set", "dim.L=%d" % n) for n in (2, 56))
    equal(many, few, "kernels and steps of 56 layers and of 2")
    texts = [kit.dfmc(kit.source / "models/dit.dfm", *base, "--set", "dim.L=%d" % n, "--emit=c").out
             for n in (2, 56)]
    lines = [t.count("\n") for t in texts]
    check(abs(lines[1] - lines[0]) < 0.01 * lines[0], "lines of generated code: %s", lines)


@case
def of_the_largest_variant(kit):
    kernels, steps = compiled(kit, "--variant", "XL/2")
    check(50 < kernels < 200 and 100 < steps < 500, "%d kernels, %d steps for XL/2", kernels, steps)


if __name__ == "__main__":
    main()
