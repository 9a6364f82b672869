#!/usr/bin/env python3
"""test_memory.py: the memory that dfmc prints is what the plan says and what the process takes."""
import re
import struct

from harness import SMALL, case, check, equal, main
from plan_file import Plan

ARENA, STATE, CONST = 1, 2, 3


def regions(plan):
    """[(kind, bytes, state)]"""
    data = plan.section("REGN")
    return [(kind, n, state) for kind, _, n, state, _ in struct.iter_unpack("<IIQII", data)]


def human(n):
    """As runtime/base/str.c writes it."""
    units = ["B", "KiB", "MiB", "GiB"]
    k = 0
    while n >= 1024 and k < 3:
        n /= 1024
        k += 1
    return "%d B" % n if k == 0 else "%.2f %s" % (n, units[k])


def facts(kit, plan_path):
    """(bytes of the arena, of all state that a step needs, of code) from the plan itself."""
    plan = Plan(plan_path.read_bytes())
    arena = [n for kind, n, _ in regions(plan) if kind == ARENA]
    equal(len(arena), 1, "arenas")
    on_demand = [s[3] for s in struct.iter_unpack("<IIII", plan.section("STAT"))]
    state = sum(n for kind, n, s in regions(plan) if kind == STATE and not on_demand[s])
    peaks = [struct.unpack_from("<Q", plan.section("PROG"), at + 40)[0]
             for at in range(0, len(plan.section("PROG")), 64)]
    equal(max(peaks), arena[0], "largest arena of a program, and the arena")
    return arena[0], state, len(plan.section("CODE"))


@case
def figures_agree(kit):
    for flags in (SMALL, ["--set", "dim.B=64"], SMALL + ["--train", "ddpm"], SMALL + ["--precision", "bf16"]):
        path = kit.folder / "x.plan"
        said = kit.dfmc(kit.source / "models/dit.dfm", "-o", path, *flags).err
        arena, state, _ = facts(kit, path)
        line = "memory: arena %s + state %s = %s" % (human(arena), human(state), human(arena + state))
        check(line in said, "expected '%s' in\n%s", line, said)
        info = kit.rt("info", path).out
        for name, n in (("arena", arena), ("state", state), ("memory", arena + state)):
            check(re.search(r"^%s +%s\b" % (name, re.escape(human(n))), info, re.M), "%s %s is not in\n%s",
                  name, human(n), info[:900])
        kit.rt("train", path, "train.steps=1", "--mock", "run.threads=1").says(
            "%s of memory" % human(arena + state))


@case
def process_within_five_percent(kit):
    """An arena over 1 GiB: what the process takes at its peak is arena + state + code."""
    path = kit.folder / "big.plan"
    kit.dfmc(kit.source / "models/dit.dfm", "-q", "--set", "dim.B=4096", "-o", path)
    arena, state, code = facts(kit, path)
    check(arena > 1 << 30, "the arena has only %s", human(arena))
    done = kit.rt("train", path, "train.steps=2", "--mock", "run.name=r")
    planned, taken = arena + state + code, done.rss_kib * 1024
    print("    arena %s + state %s + code %s = %s; the process took %s (%+.2f%%), %.1f s" % (
        human(arena), human(state), human(code), human(planned), human(taken),
        100 * (taken / planned - 1), done.seconds))
    check(0.95 * planned < taken < 1.05 * planned, "planned %d, taken %d bytes", planned, taken)


@case
def no_growth_over_steps(kit):
    """The least of five runs each: of 20 equal runs one took 1.1 MiB more than another."""
    plan = kit.small_plan()
    taken = {60: [], 1500: []}
    for i in range(5):
        for steps, kib in taken.items():
            done = kit.rt("train", plan, "train.steps=%d" % steps, "train.ckpt_every=100", "run.threads=1",
                          "run.name=r%d-%d" % (steps, i), "-q")
            kib.append(done.rss_kib)
    few, many = min(taken[60]), min(taken[1500])
    print("    60 steps: %d KiB, 1500 steps and 15 checkpoints: %d KiB" % (few, many))
    check(many - few < 512, "grows from %d to %d KiB: %s", few, many, taken)


if __name__ == "__main__":
    main()
