#!/usr/bin/env python3
"""test_bad_plan.py: damaged, hostile, foreign plans, plans that others can write. None is run."""
import os
import random
import struct

from harness import SMALL, case, check, equal, main
from plan_file import LIB, Plan, hash128

COMMANDS = (["info"], ["dis"], ["train", "train.steps=1", "run.threads=1"])


def small(kit):
    return kit.small_plan("good.plan", "--set", "dim.L=1").read_bytes()


def refused(kit, data, code, *says, commands=COMMANDS, mode=0o644):
    path = kit.write("bad.plan", bytes(data))
    path.chmod(mode)
    for words in commands:
        done = kit.rt(words[0], "bad.plan", *words[1:], code=None)
        check(done.code == code, "dfm-rt %s exits %d, expected %d (%s)\n%s", words[0], done.code, code,
              says, done.err[:800])
        done.says("error:", *says)
        equal(done.out, "", "standard output")
    equal(sorted(os.listdir(kit.folder)), ["bad.plan", "good.plan"], "files that are left")


@case
def every_section_damaged(kit):
    """One bit anywhere is noticed, and the section is named."""
    good = small(kit)
    plan = Plan(good)
    check(len(plan.kinds()) >= 10, "sections: %s", plan.kinds())
    rng = random.Random(1)
    for kind in plan.kinds():
        _, offset, n = plan.entry(kind)
        for at in {0, n // 2, n - 1} if n else ():
            bad = bytearray(good)
            bad[offset + at] ^= 1 << rng.randrange(8)
            refused(kit, bad, 65, "damaged plan", kind, commands=COMMANDS[:1] + COMMANDS[2:])
    for at in list(range(128)) + list(range(plan.table, plan.table + 64 * plan.count, 11)):
        bad = bytearray(good)
        bad[at] ^= 1 << rng.randrange(8)
        refused(kit, bad, 65, "plan", commands=COMMANDS[:1])


@case
def cut_and_foreign_files(kit):
    good = small(kit)
    for size in (0, 1, 8, 64, 127, 128, 1000, 4096, len(good) // 2, len(good) - 4096, len(good) - 1):
        refused(kit, good[:size], 65, "plan")
    refused(kit, good + b"\0", 65, "plan")
    refused(kit, b"dfm 1\n" * 1000, 65, "not a plan")
    refused(kit, b"\x7fELF" + bytes(5000), 65, "not a plan")
    refused(kit, good.replace(b"\r\n\x1a\n", b"\n\x1a\n", 1), 65, "not a plan")   # as text over a network


@case
def sealed_but_wrong(kit):
    """Hashes that are right again: what is inside must still be refused."""
    if not LIB:
        return print("    (no libxxhash: left out)")
    good = small(kit)
    plan = Plan(good)
    for kind in plan.kinds():
        at = plan.entry(kind)[0]
        equal(plan.raw[at + 32:at + 48], hash128(plan.section(kind)), "hash of %s" % kind)
    equal(plan.sealed(), good, "sealing what is sealed")

    newer = Plan(good)
    newer.raw[8:10] = struct.pack("<H", 2)
    refused(kit, newer.sealed(), 65, "format 2", "compile it again")

    other = Plan(good)
    meta = other.section("META")
    check(b'"cpu": ["' in meta, "META: %s", meta[:300])
    name = b"avx2" if b'"avx2"' in meta else b"fma"
    other.replace("META", meta.replace(b'"' + name + b'"', b'"' + b"z" * len(name) + b'"'))
    refused(kit, other.sealed(), 69, "z" * len(name), commands=COMMANDS[2:])
    kit.write("bad.plan", other.sealed())
    kit.rt("info", "bad.plan").says("z" * len(name))               # it can be looked at
    kit.rt("dis", "bad.plan")

    target = Plan(good)
    target.replace("META", meta.replace(b'"target": "cpu"', b'"target": "tpu"'))
    check(target.section("META") != meta, "META: %s", meta[:600])
    refused(kit, target.sealed(), 69, "tpu", "dfmc --target", commands=COMMANDS[2:])


@case
def sealed_noise_in_records(kit):
    """Random numbers in sections of records, with right hashes: refused or shown, never a crash."""
    if not LIB:
        return print("    (no libxxhash: left out)")
    good = small(kit)
    rng = random.Random(7)
    codes = {}
    kinds = [k for k in Plan(good).kinds() if k not in ("CODE", "CNST") and Plan(good).entry(k)[2]]
    for i in range(150):
        plan = Plan(good)
        kind = kinds[i % len(kinds)]
        data = bytearray(plan.section(kind))
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(max(1, len(data) - 3))
            data[at:at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\x80", rng.randbytes(4), b"\0\0\0\0"))
        plan.replace(kind, bytes(data[:plan.entry(kind)[2]]))
        kit.write("bad.plan", plan.sealed())
        for words in (["info"], ["dis"]):
            done = kit.rt(words[0], "bad.plan", code=None)
            check(done.code in (0, 65), "noise %d in %s: dfm-rt %s exits %d\n%s", i, kind, words[0],
                  done.code, done.err[:500])
        codes[done.code] = codes.get(done.code, 0) + 1
    check(codes.get(65, 0) > 30, "refused: %s", codes)


@case
def who_may_have_written_it(kit):
    good = small(kit)
    words = ["train", "bad.plan", "train.steps=1", "run.threads=1", "-q"]
    plan = kit.folder / "bad.plan"

    def distrusted(*says):
        kit.rt(*words, code=65).says("error:", "machine code", "--trust-plan", *says)
        check(not (kit.folder / "runs").exists(), "a run folder was made")
        kit.rt("info", "bad.plan")                                  # looking is allowed

    for mode in (0o646, 0o666, 0o602):
        refused(kit, good, 65, "bad.plan", "--trust-plan", "everybody", commands=COMMANDS[2:], mode=mode)
    distrusted()
    plan.chmod(0o644)
    kit.folder.chmod(0o777)
    distrusted("folder")
    kit.folder.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(plan, 65534, 65534)
        distrusted("another user")
        os.chown(plan, 0, 65534)
        plan.chmod(0o664)
        distrusted("group")
        os.chown(plan, 0, 0)
        plan.chmod(0o644)
    kit.folder.chmod(0o1777)                                        # as /tmp: only owners may replace
    kit.rt(*words, "run.name=sticky")
    kit.folder.chmod(0o755)
    os.symlink("bad.plan", kit.folder / "link.plan")
    kit.rt("train", "link.plan", *words[2:], "run.name=link")
    plan.chmod(0o666)
    kit.rt("train", "link.plan", *words[2:], code=65).says("--trust-plan")
    kit.rt(*words, "--trust-plan", "run.name=trusted")


@case
def a_plan_that_computes_nothing(kit):
    """Target null: it can be shown; training on it counts and computes nothing, or says so."""
    kit.dfmc(kit.source / "models/dit.dfm", "--target", "null", "-q", "-o", "null.plan", *SMALL)
    kit.rt("info", "null.plan").says("null", "program step.grad")
    done = kit.rt("train", "null.plan", "train.steps=1", code=None)
    check(done.code in (0, 65, 69), "exits %d\n%s", done.code, done.err[:500])


if __name__ == "__main__":
    main()
