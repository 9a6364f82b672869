#!/usr/bin/env python3
"""test_same_bytes.py: the same inputs give the same plan, byte for byte; other inputs another one."""
import shutil

from harness import SMALL, case, check, equal, main

SMALLEST = SMALL + ["--set", "dim.L=1"]


def plan_id(data):
    return data[40:56].hex()


def compile_in(kit, folder, source, *more):
    folder.mkdir(parents=True, exist_ok=True)
    kit.dfmc(source, "-o", folder / "x.plan", "-q", *more, cwd=folder)
    return (folder / "x.plan").read_bytes()


@case
def twice_without_cache(kit):
    source = kit.source / "models/dit.dfm"
    one = compile_in(kit, kit.folder / "a", source, "--no-cache", "--jobs", "2", *SMALLEST)
    two = compile_in(kit, kit.folder / "b/deeper", source, "--no-cache", "--jobs", "1", *SMALLEST)
    check(one == two, "two compilations differ: %s %s", plan_id(one), plan_id(two))
    cached = compile_in(kit, kit.folder / "c", source, *SMALLEST)
    again = compile_in(kit, kit.folder / "d", source, *SMALLEST)
    check(one == cached == again, "the cache changes the plan")


@case
def with_any_number_of_threads(kit):
    """Scratch of oneDNN's products depends on the threads: the plan's is for a fixed number."""
    plans = set()
    for n in ("1", "2", "5"):
        folder = kit.folder / n
        folder.mkdir()
        kit.dfmc(kit.source / "models/dit.dfm", "-o", "x.plan", "-q", *SMALLEST, cwd=folder,
                 env=kit.environment(OMP_NUM_THREADS=n))
        plans.add((folder / "x.plan").read_bytes())
    check(len(plans) == 1, "three numbers of threads make %d plans", len(plans))


@case
def wherever_the_file_lies(kit):
    """A copy of the models elsewhere, named by a relative path: the same bytes."""
    plans = []
    for name in ("here", "some/where/else"):
        folder = kit.folder / name
        shutil.copytree(kit.source / "models", folder / "models")
        kit.dfmc("models/dit.dfm", "-o", "x.plan", "-q", *SMALLEST, cwd=folder)
        plans.append((folder / "x.plan").read_bytes())
    check(plans[0] == plans[1], "the folder changes the plan")
    check(str(kit.folder).encode() not in plans[0], "the plan names the folder in which it was made")


@case
def every_text_of_a_stage_twice(kit):
    for stage in ("graph", "grad", "optimized", "kernel", "c", "plan"):
        texts = {kit.dfmc(kit.source / "models/dit.dfm", "--emit", stage, *SMALLEST).out for _ in "12"}
        check(len(texts) == 1, "--emit=%s differs from run to run", stage)
        check(len(texts.pop()) > 1000, "--emit=%s prints next to nothing", stage)


@case
def another_program_another_id(kit):
    text = (kit.source / "models/dit.dfm").read_text()
    base = compile_in(kit, kit.folder / "a", kit.write("dit.dfm", text), *SMALLEST)
    ids = {plan_id(base): "the file"}
    changes = {
        "a constant": (text.replace("const EPS = 1e-6", "const EPS = 2e-6"), []),
        "a formula": (text.replace("x * (1 + scale) + shift", "x * (2 + scale) + shift"), []),
        "the seedless draw": (text.replace("drop < 0.1", "drop < 0.2"), []),
        "an optimizer's constant": (text.replace("lr=2e-3", "lr=3e-3"), []),
        "a name in the weights": (text.replace("as fc2", "as fc3"), []),
        "a size": (text, ["--set", "dim.F=48"]),
        "the objective": (text, ["--train", "ddpm"]),
        "the precision": (text, ["--precision", "bf16"]),
        "the target's level": (text, ["--target", "cpu:x86-64-v2"]),
    }
    for what, (changed, more) in changes.items():
        check(changed != text or more, "%s: the file has nothing to replace", what)
        data = compile_in(kit, kit.folder / "b", kit.write("dit.dfm", changed), *SMALLEST, *more)
        other = ids.setdefault(plan_id(data), what)
        check(other == what, "%s gives the same plan id as %s", what, other)
    # What means nothing changes nothing that runs.
    same = compile_in(kit, kit.folder / "c", kit.write("dit.dfm", text + "# a comment at the end\n"),
                      *SMALLEST)
    equal(plan_id(same), plan_id(base), "plan id after a comment at the end")


if __name__ == "__main__":
    main()
