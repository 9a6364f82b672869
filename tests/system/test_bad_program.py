#!/usr/bin/env python3
"""test_bad_program.py: what dfmc says to wrong programs and command lines; an existing plan stays."""
import json
import os
import stat
import struct

from harness import SMALL, case, check, equal, main, small_files

HEAD = "dfm 1\ndim B = dynamic(1..64, 4), D = 16, F = 24, L = 2\n"
MODEL = HEAD + "model m(x: f32[B, D]) -> f32[B, D] {\n%s\n}\n"

# name: (text of the program, flags, exit code, words in the message)
PROGRAMS = {
    "syntax error": (MODEL % "  return linear(x, D ->) as fc", [], 1, ["E0201", "bad.dfm:4:", "^"]),
    "bracket left open": (MODEL % "  y = silu(x\n  return y", [], 1, ["E0205", "bad.dfm:4:"]),
    "block left open": (HEAD + "model m(x: f32[B, D]) -> f32[B, D] {\n  return x\n", [], 1, ["E0207"]),
    "no first line": ("dim B = 4\n", [], 1, ["E0202", "dfm 1"]),
    "another version": ("dfm 2\n", [], 1, ["E0213"]),
    "not UTF-8": (b"dfm 1\n# \xff\xfe\n", [], 1, ["E0107"]),
    "an empty file": ("", [], 1, ["E0202"]),
    "a character of no meaning": (MODEL % "  return x @ x", [], 1, ["E0101"]),
    "unequal dims": (MODEL % "  h = linear(x, D -> F) as up\n  return x + h", [], 1,
                     ["bad.dfm:5:", "D", "F"]),
    "dims of equal size": (HEAD + "dim E = D\nmodel m(x: f32[B, D]) -> f32[B, E] {\n  return x\n}\n", [],
                           1, ["E", "D"]),
    "unknown name": (MODEL % "  return silu(z)", [], 1, ["E0401", "`z`", "bad.dfm:4:15"]),
    "nearly a name": (MODEL % "  hidden = silu(x)\n  return hiden", [], 1, ["hiden", "hidden"]),
    "unknown function": (MODEL % "  return silo(x)", [], 1, ["E0402", "silo", "silu"]),
    "missing as": (MODEL % "  return linear(x, D -> D)", [], 1, ["as", "linear", "bad.dfm:4:"]),
    "one name twice": (MODEL % "  y = linear(x, D -> D) as fc\n  return linear(y, D -> D) as fc", [], 1,
                       ["fc"]),
    "// that leaves a rest": (HEAD + "dim H = 3, Dh = D // H\n" +
                              (MODEL % "  return merge(split(x, D -> (H, Dh)), (H, Dh) -> D)")[len(HEAD):],
                              [], 1, ["bad.dfm:5:", "D", "Dh"]),
    "/ that leaves a rest": (HEAD.replace("F = 24", "F = D / 3") + (MODEL % "  return x")[len(HEAD):], [],
                             1, ["bad.dfm:2:"]),
    "a require that fails": (MODEL % '  require D % 3 == 0, "D must be a multiple of three"\n  return x', [],
                             1, ["D must be a multiple of three"]),
    "unbound dim": ((MODEL % "  return x").replace("dynamic(1..64, 4)", "dynamic(1..64)"), [], 1,
                    ["E0301", "--set dim.B"]),
    "dim out of range": ((MODEL % "  return x").replace("64, 4)", "64, 65)"), [], 1, ["E0302", "64", "65"]),
    "a dim in a circle": (HEAD + "dim P = 2 * Q, Q = P // 2\n", [], 1, ["E0303", "P", "Q"]),
    "unknown dim in --set": (MODEL % "  return x", ["--set", "dim.DD=4"], 1, ["DD", "--set"]),
    "unknown const in --set": (MODEL % "  return x", ["--set", "const.EPS=1"], 1, ["EPS", "--set"]),
    "--set of no kind": (MODEL % "  return x", ["--set", "D=4"], 1, ["--set", "dim."]),
    "--set without a value": (MODEL % "  return x", ["--set", "dim.D"], 1, ["--set"]),
    "--set of no number": (MODEL % "  return x", ["--set", "dim.D=four"], 1, ["--set", "four"]),
    "a missing import": (HEAD + 'import "other.dfm" as o\n' + (MODEL % "  return x")[len(HEAD):], [], 1,
                         ["E0405", "other.dfm", "bad.dfm:3:"]),
    "no model": (HEAD, ["--target", "null"], 1, ["model", "bad.dfm"]),
    "recursion": (MODEL % "  return f(x)" + "block f(x: [B, D]) -> [B, D] {\n  return f(x)\n}\n", [], 1,
                  ["f"]),
}

# name: (words after dfmc, exit code, words in the message)
COMMANDS = {
    "unknown flag": (["dit.dfm", "--varient", "S/2"], 2, ["--varient", "--variant"]),
    "flag without a value": (["dit.dfm", "--set"], 2, ["--set", "K=V"]),
    "flag twice": (["dit.dfm", "--train", "flow", "--train", "ddpm"], 2, ["--train", "twice"]),
    "two files": (["dit.dfm", "dit.dfm"], 2, ["one file"]),
    "no file": (["check"], 2, ["file", "missing"]),
    "unknown command": (["chek", "dit.dfm"], 2, ["chek", "check"]),
    "missing file": (["none.dfm"], 1, ["none.dfm", "No such file"]),
    "a folder": (["folder"], 1, ["folder"]),
    "unknown variant": (["dit.dfm", "--variant", "S/3"], 1, ["S/3", "S/2"]),
    "unknown train": (["dit.dfm", "--train", "flaw"], 1, ["flaw", "flow"]),
    "unknown sampler": (["dit.dfm", "--sampler", "eular"], 1, ["eular", "euler"]),
    "unknown precision": (["dit.dfm", "--precision", "f8"], 1, ["f8", "bf16"]),
    "unknown weights": (["dit.dfm", "--weights", "origin"], 1, ["origin", "original"]),
    "unknown stage": (["dit.dfm", "--emit=kernels"], 2, ["kernels", "kernel"]),
    "unknown pass": (["dit.dfm", "--emit=after:simplfy"], 2, ["after:simplfy", "simplify"]),
    "unknown target": (["dit.dfm", "--target", "tpu"], 2, ["tpu", "cpu"]),
    "unknown level": (["dit.dfm", "--target", "cpu:x86-64-v9"], 2, ["x86-64-v9", "x86-64-v3"]),
    "unknown format": (["dit.dfm", "--format", "yaml"], 2, ["yaml", "json"]),
    "jobs without a number": (["dit.dfm", "--jobs", "many"], 2, ["--jobs", "many"]),
    "missing library": (["dit.dfm", "--std", "nowhere"], 1, ["nowhere"]),
    "missing compiler": (["dit.dfm", "--cc", "no-such-cc", "--no-cache"], 3, ["no-such-cc"]),
    "a compiler that fails": (["dit.dfm", "--cc", "false", "--no-cache"], 3, ["false"]),
    "unwritable folder": (["dit.dfm", "-o", "no/such/folder/x.plan"], 3, ["no/such/folder"]),
    "output is a folder": (["dit.dfm", "-o", "folder"], 3, ["folder"]),
}


def refused(kit, words, code, says, what, **options):
    before = kit.listing()
    done = kit.dfmc(*words, code=None, **options)
    text = "%s: %s" % (what, " ".join(done.words[1:]))
    check(done.code == code, "%s\nexits %d, expected %d\n%s", text, done.code, code, done.err[:1500])
    done.says("error", *says)
    check("bug" not in done.err, "%s\nis called a bug:\n%s", text, done.err[:1500])
    equal(done.out, "", "%s: standard output" % text)
    after = kit.listing()
    check(after == before, "%s: files changed: %s", text,
          sorted(k for k in set(before) | set(after) if before.get(k) != after.get(k)))
    return done


def all_of(failures):
    check(not failures, "%d cases:\n%s", len(failures), "\n".join(failures))


def attempt(failures, function, *args):
    try:
        function(*args)
    except Exception as failure:
        failures.append("- %s" % failure)


@case
def wrong_programs(kit):
    kit.write("bad.plan", "an earlier plan")
    failures = []
    for what, (text, flags, code, says) in PROGRAMS.items():
        kit.write("bad.dfm", text)
        attempt(failures, refused, kit, ["bad.dfm", "-o", "bad.plan", *flags], code, says, what)
        if not flags and what != "unbound dim":
            attempt(failures, refused, kit, ["check", "bad.dfm"], code, says, what)
    all_of(failures)
    # The programs fail for the reason they are here for: the frame itself is good.
    kit.write("bad.dfm", MODEL % "  return x + (linear(x, D -> D) as fc)")
    kit.dfmc("bad.dfm", "-o", "bad.plan", "--target", "null")


@case
def wrong_commands(kit):
    kit.write("dit.dfm", (kit.source / "models/dit.dfm").read_text())
    kit.write("dit.plan", "an earlier plan")
    (kit.folder / "folder").mkdir()
    failures = []
    for what, (words, code, says) in COMMANDS.items():
        words = words + (SMALL if words[0] == "dit.dfm" and words[1] not in ("--variant", "--set") else [])
        attempt(failures, refused, kit, words, code, says, what)
    all_of(failures)


@case
def many_errors_at_once(kit):
    """Each with its place, 20 at most, and the same in the machine's format."""
    kit.write("bad.dfm", HEAD + "model m(x: f32[B, D]) -> f32[B, D] {\n" +
              "".join("  a%d = silu(u%d)\n" % (i, i) for i in range(40)) + "  return x\n}\n")
    text = kit.dfmc("check", "bad.dfm", code=1).err
    equal(text.count("error[E0401]"), 20, "errors")
    for line in range(4, 24):
        check("bad.dfm:%d:" % line in text, "no error in line %d of\n%s", line, text[:600])
    lines = kit.dfmc("check", "bad.dfm", "--format", "json", code=1).err
    found = [json.loads(line) for line in lines.splitlines()]
    equal([f["code"] for f in found], ["E0401"] * 20, "codes")
    short = kit.dfmc("check", "bad.dfm", "--format", "short", code=1).err
    check("bad.dfm:4:13: " in short, "short:\n%s", short[:600])


def sarif_place(location, text, what):
    """What SARIF 2.1.0 demands of a location (3.28 to 3.30), and that it lies in the file."""
    place = location["physicalLocation"]
    equal(place["artifactLocation"], {"uri": "odd%20n%C3%A4me.dfm"}, "%s: file" % what)
    region = place["region"]
    equal(sorted(region), ["endColumn", "endLine", "startColumn", "startLine"], "%s: region" % what)
    check(all(isinstance(v, int) and v >= 1 for v in region.values()), "%s: %s", what, region)
    lines = text.splitlines()
    check(region["endLine"] <= len(lines), "%s: line %d", what, region["endLine"])
    if region["startLine"] == region["endLine"]:
        line = lines[region["startLine"] - 1]
        return line[region["startColumn"] - 1:region["endColumn"] - 1]


@case
def reports_as_sarif(kit):
    """Every property that SARIF 2.1.0 requires, rules for all codes, places that point at the words."""
    text = HEAD + ("model m(x: f32[B, D]) -> f32[B, D] {\n  # \u00e4\n"
                   "  h = linear(x, D -> F) as up\n  y = \"\u00e4\"; z = hh\n  return x + h\n}\n"
                   "precision p for m { keep f32 for nobody }\n")
    kit.write("odd n\u00e4me.dfm", text)
    log = json.loads(kit.dfmc("check", "odd n\u00e4me.dfm", "--format", "sarif", code=1).err)
    equal(log["version"], "2.1.0", "version")
    check(log["$schema"].endswith("sarif-2.1.0.json"), "schema: %s", log["$schema"])
    equal(len(log["runs"]), 1, "runs")
    run = log["runs"][0]
    equal(run["columnKind"], "unicodeCodePoints", "columns")
    driver = run["tool"]["driver"]
    equal(driver["name"], "dfmc", "tool")
    rules, results = driver["rules"], run["results"]
    for rule in rules:
        check(rule["shortDescription"]["text"] and rule["help"]["text"], "rule without a text: %s", rule)
    equal(len({r["id"] for r in rules}), len(rules), "rules of different names")
    equal(sorted(r["ruleId"] for r in results), ["E0304", "E0401", "E0604"], "codes")
    for r in results:
        equal(rules[r["ruleIndex"]]["id"], r["ruleId"], "rule")
        equal(r["level"], "warning" if r["ruleId"] == "E0604" else "error", "level of %s" % r["ruleId"])
        check(isinstance(r["message"]["text"], str) and r["message"]["text"], "message")
        equal(len(r["locations"]), 1, "locations")
        word = sarif_place(r["locations"][0], text, r["ruleId"])
        equal(word, {"E0304": "+", "E0401": "hh", "E0604": "nobody"}[r["ruleId"]], "place")
        for k, related in enumerate(r.get("relatedLocations", [])):
            sarif_place(related, text, r["ruleId"])
            equal(related["id"], k, "number of a related location")
            check(related["message"]["text"], "text of a related location")
    sums = [r for r in results if r["ruleId"] == "E0304"][0]
    equal(len(sums["relatedLocations"]), 2, "labels")
    check("help: " in sums["message"]["text"], "no help in %s", sums["message"])

    kit.write("good.dfm", MODEL % "  return x")
    for flags in ([], ["-o", "good.plan", "--target", "null"]):
        log = json.loads(kit.dfmc(*([] if flags else ["check"]), "good.dfm", *flags, "--format", "sarif").err)
        equal(log["runs"][0]["results"], [], "results of a good program")
    log = json.loads(kit.dfmc("good.dfm", "-o", "no/such/x.plan", "--format=sarif", code=3).err)
    check("no/such" in log["runs"][0]["results"][0]["message"]["text"], "message: %s", log)
    lines = kit.dfmc("good.dfm", "-o", "no/such/x.plan", "--format=json", code=3).err.splitlines()
    check("no/such" in json.loads(lines[0])["message"] and len(lines) == 1, "lines: %s", lines)
    equal(kit.dfmc("check", "good.dfm", "--format=json").err, "", "lines about a good program")


def section_bytes(plan, want):
    table, count = struct.unpack_from("<QI", plan, 24)
    rows = [struct.unpack_from("<4sIQQ", plan, table + 64 * i) for i in range(count)]
    return {row[0]: row[3] for row in rows}[want]


@case
def full_disk(kit):
    """No room for the plan: exit 3, the plan that was there stays, nothing else is left."""
    kit.write("dit.dfm", (kit.source / "models/dit.dfm").read_text())
    kit.dfmc("dit.dfm", "-q", *SMALL)                                 # fills the cache
    plan = (kit.folder / "dit.plan").read_bytes()
    code = section_bytes(plan, b"CODE")
    check(code > 20000 and len(plan) > code + 20000, "%d bytes of code in %d", code, len(plan))

    refused(kit, ["dit.dfm", "-q", "-o", "dit.plan", *SMALL], 3, ["dit.plan"], "a file that grows too large",
            before=small_files((code + len(plan)) // 2))      # the linker's output fits
    done = kit.run("sh", "-c", '"$0" "$@" >/dev/full', kit.dfmc_path, "dit.dfm", "--emit=graph", *SMALL,
                   code=None)
    equal(done.code, 3, "exit status when the output cannot be written")
    done.says("error", "write")


@case
def folder_without_permission(kit):
    if os.geteuid() == 0:
        return print("    (root may write everywhere: left out)")
    kit.write("dit.dfm", (kit.source / "models/dit.dfm").read_text())
    closed = kit.folder / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    refused(kit, ["dit.dfm", "-o", "closed/x.plan", *SMALL], 3, ["closed/x.plan", "ermission"], "closed")


if __name__ == "__main__":
    main()
