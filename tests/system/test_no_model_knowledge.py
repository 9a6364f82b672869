#!/usr/bin/env python3
"""test_no_model_knowledge.py: the compiler knows no function of the library by its name.

The whole standard library is copied into the user's file, every function under another name, and the
library itself is taken away. The kernels, the generated code and the machine code must stay the same.
"""
import re
import struct

from harness import SMALL, case, check, equal, main

WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
DEFINES = re.compile(r"^(?:op|block)\s+([A-Za-z_]\w*)\s*\(", re.M)


def library(kit):
    """(text of all files of the library without their heads, names of the functions)"""
    text = ""
    for path in sorted((kit.source / "models/std").glob("*.dfm")):
        lines = path.read_text().splitlines()
        text += "\n".join(l for l in lines if not re.match(r'\s*(dfm \d|import ")', l)) + "\n"
    return text, DEFINES.findall(text)


def renamed(text, names):
    """Rename functions: where they are called or defined, used as optimizer pieces, kept in f32."""
    def in_code(line):
        code, hash_, comment = line.partition("#")
        parts = re.split(r'("(?:[^"\\]|\\.)*")', code)
        for i in range(0, len(parts), 2):
            parts[i] = WORD.sub(lambda m: rename(m, parts[i], line), parts[i])
        return "".join(parts) + hash_ + comment

    def rename(m, part, line):
        called = part[m.end():].lstrip().startswith("(")
        listed = re.match(r"\s*keep f32 for", line)
        return names[m.group()] if m.group() in names and (called or listed) else m.group()

    return "\n".join(in_code(line) for line in text.splitlines()) + "\n"


def without_library(kit, file):
    """(path of the program with the library inside, its new names)"""
    std, functions = library(kit)
    check(len(functions) > 25 and len(set(functions)) == len(functions), "functions: %s", functions)
    names = {name: "zz%02d_%s" % (i, name[::-1]) for i, name in enumerate(sorted(functions))}
    text = (kit.source / "models" / file).read_text()
    head, own = re.match(r"((?:#.*\n)*dfm 1\n)", text).group(1), text
    own = own[len(head):]
    own = re.sub(r"(?m)^import .*\n", "", own)
    program = head + renamed(std, names) + renamed(own, names)
    kit.write("std/prelude.dfm", "dfm 1\n")                  # the library: nothing
    return kit.write(file, program), names


def back(text, names):
    for old, new in names.items():
        text = text.replace(new, old)
    return text


def code_only(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def section(plan, want):
    table, count = struct.unpack_from("<QI", plan, 24)
    for i in range(count):
        kind, _, offset, n = struct.unpack_from("<4sIQQ", plan, table + 64 * i)
        if kind == want:
            return plan[offset:offset + n]
    raise KeyError(want)


def same_with_and_without(kit, file, flags, sections):
    whole, names = without_library(kit, file)
    original = kit.source / "models" / file
    alone = flags + ["--std", kit.folder / "std"]
    bare = kit.write("bare.dfm", re.sub(r"(?m)^import .*\n", "", original.read_text()))
    kit.dfmc("check", bare, *alone, code=1).says("E0402", "linear")   # the library is gone indeed
    for more in sections:
        a = kit.dfmc(original, "--emit=kernel", *flags, *more).out
        b = kit.dfmc(whole, "--emit=kernel", *alone, *more).out
        kernels = len(re.findall(r"^ *kernel\b", a, re.M))
        check(kernels > 20, "only %d kernels", kernels)
        check(any(new in b for new in names.values()), "no new name in the kernels: nothing renamed")
        equal(len(re.findall(r"^ *kernel\b", b, re.M)), kernels, "number of kernels")
        for x, y in zip(a.splitlines(), back(b, names).splitlines()):
            equal(y, x, "a line of the kernels of %s %s" % (file, more))
        equal(back(b, names), a, "kernels of %s %s" % (file, more))
        a = code_only(kit.dfmc(original, "--emit=c", *flags, *more).out)
        b = code_only(kit.dfmc(whole, "--emit=c", *alone, *more).out)
        check(a == b and len(a) > 10000, "the generated C of %s %s differs", file, more)


@case
def dit_with_the_library_inlined(kit):
    sections = [[], ["--train", "ddpm", "--sampler", "ddim", "--set", "dim.Co=2"],
                ["--precision", "bf16"]]
    same_with_and_without(kit, "dit.dfm", SMALL, sections)


@case
def dit_of_the_paper_with_the_library_inlined(kit):
    same_with_and_without(kit, "dit.dfm", ["--variant", "XL/2"], [[]])


@case
def wan_with_the_library_inlined(kit):
    sizes = [word for dim in ("B=1", "T=4", "Y=8", "X=8") for word in ("--set", "dim." + dim)]
    same_with_and_without(kit, "wan_1_3b.dfm", sizes, [[], ["--precision", "bf16"]])


@case
def the_machine_code_is_the_same(kit):
    flags = SMALL + ["--set", "dim.L=1"]
    whole, _ = without_library(kit, "dit.dfm")
    kit.dfmc(kit.source / "models/dit.dfm", "-q", "-o", "a.plan", *flags)
    kit.dfmc(whole, "-q", "-o", "b.plan", "--std", kit.folder / "std", *flags)
    a, b = ((kit.folder / name).read_bytes() for name in ("a.plan", "b.plan"))
    for kind in (b"CODE", b"CNST", b"GEMM", b"OPND", b"REGN"):
        check(section(a, kind) == section(b, kind), "section %s differs", kind.decode())


if __name__ == "__main__":
    main()
