#!/usr/bin/env python3
"""test_budget.py: `--memory` and `--layout` decide what the backward pass finds stored."""
import re

from harness import case, check, equal, main

SIZES = ["--target", "null", "--set", "dim.D=96", "--set", "dim.B=32", "--set", "dim.L=8"]
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def number(text):
    value, unit = text.split()
    return float(value) * UNITS[unit]


def compiled(kit, *flags, name="x.plan"):
    """(arena, state, what was said)"""
    said = kit.dfmc(kit.source / "models/dit.dfm", "-o", name, "-v", *SIZES, *flags).err
    found = re.search(r"memory: arena (.*?) \+ state (.*?) =", said)
    return number(found.group(1)), number(found.group(2)), said


@case
def a_budget_that_is_not_needed_changes_nothing(kit):
    compiled(kit, name="a.plan")
    compiled(kit, "--memory", "1TiB", name="b.plan")
    equal((kit.folder / "a.plan").read_bytes(), (kit.folder / "b.plan").read_bytes(), "plans")


@case
def budgets_are_kept(kit):
    arena, state, _ = compiled(kit)
    last = arena
    for share in (0.75, 0.5, 0.3):
        budget = int(state + share * arena)
        got, _, said = compiled(kit, "--memory", "%dB" % budget)
        check(got + state <= budget * 1.001, "%s bytes of a budget of %d", got + state, budget)
        check(got < last, "a smaller budget takes %s bytes, not less than %s", got, last)
        check(re.search(r"to fit the budget \(choice \d+ of \d+\): .* less per iteration; .* FLOP computed "
                        r"again, [\d.]+% of a step's", said), "no cost in\n%s", said)
        check("is computed again in the backward pass" in said, "no values in\n%s", said)
        last = got


@case
def impossible_budgets_name_the_least(kit):
    arena, state, _ = compiled(kit)
    done = kit.dfmc(kit.source / "models/dit.dfm", *SIZES, "--memory", "%dB" % (state + arena / 50), code=1)
    least = number(re.search(r"do not suffice: arena and state need (.*)", done.err).group(1))
    check(state < least < state + arena, "least %s, state %s", least, state)
    check("state (weights, gradients, optimizer, averages) takes" in done.err, "no holders in\n%s", done.err)
    got, _, _ = compiled(kit, "--memory", "%dB" % (least + 1))
    check(got + state <= least * 1.001, "the least possible is not possible: %s", got)


@case
def sizes_that_are_none(kit):
    for text in ("much", "-1GiB", "12 parsecs", "0"):
        kit.dfmc(kit.source / "models/dit.dfm", *SIZES, "--memory", text, code=2).says("is no size", "GiB")


@case
def layouts_are_obeyed(kit):
    arena, _, _ = compiled(kit)
    less, _, said = compiled(kit, "--layout", "fsdp8", "--remarks")
    check(less < arena / 2, "`recompute blocks saving attend` takes %s of %s", less, arena)
    kept = re.findall(r"remat: '(\w+)' is kept", said)
    check(2 <= len(kept) <= 3, "kept: %s", kept)         # the carry, and attention's two results
    same, _, _ = compiled(kit, "--layout", "one_gpu")
    equal(same, arena, "arena of a layout without a word about recomputing")
    kit.dfmc(kit.source / "models/dit.dfm", *SIZES, "--layout", "fsdp9", code=1).says("E0403", "fsdp8")


@case
def parts_of_paths_can_be_saved(kit):
    text = (kit.source / "models/dit.dfm").read_text()
    base = text.replace("recompute blocks saving attend", "recompute blocks")
    more = text.replace("recompute blocks saving attend", 'recompute blocks saving "mlp.fc1"')
    sizes = []
    for n, source in enumerate((base, more)):
        path = kit.write("m%d.dfm" % n, source)
        said = kit.dfmc(path, "-o", "m.plan", "-v", *SIZES, "--layout", "fsdp8").err
        sizes.append(number(re.search(r"backward finds (.*?) stored", said).group(1)))
    equal(round(sizes[1] - sizes[0], -3), round(32 * 16 * 4 * 96 * 4, -3), "bytes that saving fc1 adds")


if __name__ == "__main__":
    main()
