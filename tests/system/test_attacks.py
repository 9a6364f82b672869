#!/usr/bin/env python3
"""test_attacks.py: what a hostile program, checkpoint, environment or command line can do to the two
programs: nothing but be refused, in the right words. Hostile weights, arrays, shards and configurations:
tests/rt/test_attacks.c; plans: test_bad_plan.py. The table of all of them: tests/attacks/README.md."""
import json
import os
import shutil
import stat

from harness import case, check, equal, main
from plan_file import LIB, hash128

PWNED = "pwned"
TINY = """dfm 1
dim B = 4, D = 8
model m(x: f32[B, D]) -> f32[B, D] {
  return linear(silu(rms_norm(x, D)), D -> D) as fc
}
"""


def nothing_ran(kit):
    check(not list(kit.folder.rglob(PWNED)), "a command in a name was run")


@case
def programs(kit):
    """tests/attacks/dfm: exit 1 and the words of EXPECTED, soon."""
    folder = kit.source / "tests/attacks"
    rows = [line.split("\t") for line in (folder / "EXPECTED").read_text().splitlines()]
    rows = [row for row in rows if row[0].startswith("dfm/")]
    bad = []
    for name, words in rows:
        done = kit.dfmc("check", folder / name, code=None, limit=60)
        text = done.out + done.err
        if done.code != (0 if words == "ok" else 1):
            bad.append("%s exits %d: %s" % (name, done.code, text[:300]))
        elif words != "ok" and words not in text:
            bad.append("%s does not say '%s': %s" % (name, words, text[:300]))
        elif any(ord(c) < 0x20 and c not in "\n\t" or ord(c) in range(0x202a, 0x202f) for c in text):
            bad.append("%s: a control character is printed: %r" % (name, text[:300]))
        elif done.cpu_seconds > 10 or done.rss_kib > 1 << 20:
            bad.append("%s takes %.1f s, %d KiB" % (name, done.cpu_seconds, done.rss_kib))
    check(len(rows) >= 35 and not bad, "%d of %d:\n%s", len(bad), len(rows), "\n".join(bad))


@case
def large_programs(kit):
    """Too large to keep as files."""
    body = "model m(x: f32[4]) -> f32[4] {\n%s  return x\n}\n"
    kit.write("lines.dfm", "dfm 1\n" + body % ("# a line of nothing\n" * 1000000))
    kit.dfmc("check", "lines.dfm", code=1).says("E0405", "16777216 bytes")          # 20 MB
    kit.write("half.dfm", "dfm 1\n" + body % ("# line\n" * 1000000))
    check(kit.dfmc("check", "half.dfm").cpu_seconds < 20, "a million lines take too long")
    kit.write("parts.dfm", "dfm 1\n" + body % "".join("  a%d = x\n" % i for i in range(600000)))
    kit.dfmc("check", "parts.dfm", code=1).says("E0204")
    # Each file imports the next twice: 2^40 ways, 40 files.
    for i in range(40):
        kit.write("i%d.dfm" % i, 'dfm 1\nimport "i%d.dfm" as a\nimport "i%d.dfm" as b\ndim Q%d = 4\n' % (i + 1, i + 1, i))
    kit.write("i40.dfm", "dfm 1\ndim Z = 4\n")
    done = kit.dfmc("check", "i0.dfm", code=None)
    check(done.code in (0, 1) and done.cpu_seconds < 10, "imports: exits %d after %.1f s\n%s", done.code, done.cpu_seconds,
          done.err[:500])
    for i in range(3000):
        kit.write("c%d.dfm" % i, 'dfm 1\nimport "c%d.dfm" as a\n' % (i + 1))
    kit.write("c3000.dfm", "dfm 1\ndim Z = 4\n")
    done = kit.dfmc("check", "c0.dfm", code=None)
    check(done.code in (0, 1) and done.cpu_seconds < 10, "a chain of imports: exits %d\n%s", done.code, done.err[:500])


@case
def large_configuration(kit):
    plan = kit.small_plan()
    kit.write("big.yaml", "train: {steps: 3}\n#" + "x" * (17 << 20))
    kit.rt("train", plan, "--config", "big.yaml", code=78).says("error:", "big.yaml")
    kit.write("flat.yaml", "{" + "a: [" * 100000)
    kit.rt("train", plan, "--config", "flat.yaml", code=78).says("error:", "flat.yaml")


@case
def names_with_a_meaning_for_shells(kit):
    """Files, folders and compilers whose names a shell would take apart: they are names."""
    text = TINY
    names = ["$(touch %s).dfm" % PWNED, "`touch %s`.dfm" % PWNED, "a b;touch %s.dfm" % PWNED, "-Dx.dfm",
             "new\nline.dfm", "quo'te\".dfm", "ü\u00a0.dfm", "*.dfm", "%s%n.dfm"]
    for i, name in enumerate(names):
        kit.write(name, text)
        kit.dfmc("./" + name, "-q", "-o", "./%s.plan" % name)
        kit.rt("info", "./%s.plan" % name)
        tmp = kit.folder / ("t%d $(touch %s)" % (i, PWNED))
        tmp.mkdir()
        if i < 2:
            kit.dfmc("./" + name, "-q", "--no-cache", "--target", "cpu:x86-64-v2", "-o", "x.plan", env=kit.environment(TMPDIR=str(tmp)))
        equal(list(tmp.iterdir()), [], "left in TMPDIR")
    kit.write("dit.dfm", text)
    for cc in ("cc; touch " + PWNED, "$(touch %s)" % PWNED, "cc -O0", "cc\n", ""):
        done = kit.dfmc("dit.dfm", "-q", "--no-cache", "--cc", cc, code=3)
        done.says("error:", "cannot be run")
    run = "x; touch " + PWNED
    plan = kit.small_plan()
    kit.rt("train", plan, "run.name=" + run, "train.steps=1", "run.threads=1", "-q")
    kit.rt("train", plan, "run.name=new\nline", "train.steps=1", code=78).says("run.name")
    nothing_ran(kit)


@case
def overrides(kit):
    plan = kit.small_plan()
    table = {
        "=3": "", "train.steps": "", "train..steps=3": "unknown key", ".steps=3": "unknown key",
        "train.steps=": "needs a value", "train.steps=99999999999999999999": "train.steps", "train.steps=-1": "1 to",
        "train.steps=1e3": "whole number", "train.steps= 3": "whole number", "train.steps=0x10": "whole number",
        "train.lr=nan": "train.lr", "train.lr=inf": "train.lr", "train.lr=1e999": "train.lr",
        "train.seed=18446744073709551616": "train.seed", "run.threads=100000": "run.threads",
        "run.name=../up": "run.name", "run.name=/abs": "run.name", "run.name=.hidden": "run.name",
        "run.name=" + "n" * 5000: "run.name", "data.path=pipe:touch " + PWNED: "commands",
        "data.path=https://example.com/x.tar": "commands and addresses",
        "data.path=x-{000000..999999999}.tar": "over 1,000,000", "data.path=x-{1..9}{1..9999999}.tar": "",
        "data.path={a,{b,c}}.tar": "nest", "data.path=x-{0..3}..3}{a,b}.tar": "no data", "\x1b[2Jtrain.steps=3": "unknown key", "x" * 100000 + "=1": "unknown key",
        "data.memory_mib=67108865": "data.memory_mib",
    }
    for word, says in table.items():
        done = kit.rt("train", plan, word, "run.threads=1" if "threads" not in word else "-q", code=None)
        check(done.code in (64, 65, 78), "%.60s: exits %d\n%s", word, done.code, done.err[:500])
        done.says("error:", says)
        check("\x1b" not in done.err, "%.60s: an escape is printed", word)
    check(not (kit.folder / "runs").exists(), "a run was made")
    nothing_ran(kit)


@case
def the_cache(kit):
    """Only a folder of our own, and of it only what is whole and belongs there."""
    kit.write("dit.dfm", TINY)
    kit.dfmc("dit.dfm", "-q", "--no-cache", "-o", "good.plan")
    good, cache = (kit.folder / "good.plan").read_bytes(), kit.folder / "cache/dfm"
    env = kit.environment(XDG_CACHE_HOME=str(kit.folder / "cache"))

    def compiled(*says, cached=None):
        done = kit.dfmc("dit.dfm", "-o", "x.plan", env=env)
        done.says(*says)
        equal((kit.folder / "x.plan").read_bytes(), good, "the plan")
        if cached is not None:
            check(("(0 compiled" in done.err) == cached, "cached %s:\n%s", cached, done.err)

    compiled(cached=False)
    compiled(cached=True)
    equal(stat.S_IMODE(cache.stat().st_mode), 0o700, "mode of the cache")
    entries = sorted(cache.iterdir())
    check(len(entries) >= 1, "entries: %s", entries)
    first = entries[0].read_bytes()
    kit.write("other.dfm", TINY.replace("silu", "gelu"))
    kit.dfmc("other.dfm", "-q", env=env)
    second = [p for p in cache.iterdir() if p not in entries][0].read_bytes()
    for bad in (first[:-1], first[:len(first) // 2], b"", first[:100] + bytes([first[100] ^ 1]) + first[101:],
                second, b"\x7fELF" + bytes(5000)):
        entries[0].write_bytes(bad)
        compiled(cached=False)
        equal(entries[0].read_bytes(), first, "the entry is made anew")
    entries[0].chmod(0o666)
    compiled(cached=False)
    entries[0].unlink()
    kit.write("elsewhere.o", first)
    entries[0].symlink_to(kit.folder / "elsewhere.o")
    compiled(cached=False)
    check(not entries[0].is_symlink(), "a link is followed")
    entries[0].unlink()
    entries[0].mkdir()
    compiled(cached=False)
    entries[0].rmdir()
    for mode in (0o777, 0o707):
        cache.chmod(mode)
        compiled("note:", "everybody", "not used", cached=False)
    cache.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(cache, 65534, 65534)
        compiled("note:", "another user", cached=False)
        os.chown(cache, 0, 0)
    shutil.rmtree(cache)
    cache.write_text("a file")
    compiled("note:", "not a folder", cached=False)


@case
def the_environment(kit):
    kit.write("dit.dfm", TINY)
    words = ["dit.dfm", "-q"]

    def with_tmp(path, code, *says, **more):
        done = kit.dfmc(*words, code=code, env=kit.environment(TMPDIR=str(path), **more))
        done.says(*says)
        left = [p for p in kit.folder.rglob("dfmc-*")]
        check(not left, "TMPDIR=%s: left behind: %s", path, left)

    for mode, who in ((0o777, "everybody"), (0o707, "everybody")):
        (kit.folder / "tmp").mkdir(exist_ok=True)
        (kit.folder / "tmp").chmod(mode)
        with_tmp(kit.folder / "tmp", 3, "error:", "TMPDIR", who)
    (kit.folder / "tmp").chmod(0o1777)
    with_tmp(kit.folder / "tmp", 0)
    if os.geteuid() == 0:
        (kit.folder / "tmp").chmod(0o755)
        os.chown(kit.folder / "tmp", 65534, 65534)
        with_tmp(kit.folder / "tmp", 3, "error:", "another user")
        os.chown(kit.folder / "tmp", 0, 0)
    kit.write("file", "x")
    with_tmp(kit.folder / "file", 3, "error:", "TMPDIR")
    with_tmp(kit.folder / "none", 3, "error:", "TMPDIR", "none")
    with_tmp("x" * 5000, 3, "error:")
    for value in ("relative", "", "../up", "x" * 5000, "/dev/null", "/proc/self/none"):
        kit.dfmc(*words, env=kit.environment(XDG_CACHE_HOME=value, HOME=value))
    check(not (kit.folder / "relative").exists(), "a relative cache was made")
    kit.dfmc(*words, code=3, env=kit.environment(PATH="/nowhere", XDG_CACHE_HOME="")).says("cannot be run")
    # A name of ours, taken by a link to something else: it is not followed.
    kit.write("victim", "precious")
    if os.path.exists("/proc/sys/kernel/pid_max"):
        for pid in range(os.getpid(), os.getpid() + 60):
            (kit.folder / ("out.plan.tmp-%d" % pid)).symlink_to("victim")
        for _ in range(3):
            kit.dfmc("dit.dfm", "-q", "-o", "out.plan")
        equal((kit.folder / "victim").read_text(), "precious", "what a link at a temporary name points to")
    os.mkfifo(kit.folder / "pipe")
    kit.dfmc("dit.dfm", "-q", "-o", "pipe", code=3).says("pipe")
    check(stat.S_ISFIFO((kit.folder / "pipe").stat().st_mode), "a pipe was replaced by a file")


def sealed_manifest(folder, change=None, text=None):
    """MANIFEST with other entries, and right hashes of the files and of itself."""
    path = folder / "MANIFEST"
    manifest = json.loads(path.read_text())
    manifest.pop("check")
    for entry in manifest["files"]:
        if (folder / entry["name"]).is_file():
            data = (folder / entry["name"]).read_bytes()
            h = hash128(data)
            entry.update(bytes=len(data), xxh3_128=(h[8:][::-1] + h[:8][::-1]).hex())
    if change:
        change(manifest)
    body = (text if text is not None else json.dumps(manifest)[:-1]) + ",\n"
    if text is None:
        h = hash128(body.encode())
        body += ' "check": "%s"\n}\n' % (h[8:][::-1] + h[:8][::-1]).hex()
    path.write_text(body)


@case
def checkpoints(kit):
    """Sealed MANIFEST and state.json with wrong contents: refused, or the one before is used."""
    if not LIB:
        return print("    (no libxxhash: left out)")
    plan = kit.small_plan()
    kit.rt("train", plan, "run.name=good", "train.steps=2", "train.ckpt_every=1", "run.threads=1", "-q")
    good = kit.folder / "runs/good/ckpt/step_00000002"
    manifest = good / "MANIFEST"

    def fresh():
        shutil.rmtree(kit.folder / "runs/bad", ignore_errors=True)
        shutil.copytree(kit.folder / "runs/good", kit.folder / "runs/bad")
        return kit.folder / "runs/bad/ckpt/step_00000002"

    bad = fresh()
    sealed_manifest(bad)
    kit.rt("train", plan, "--resume", "runs/bad", "train.steps=3", "run.threads=1").says("after step 2")

    def falls_back(what, *says):
        done = kit.rt("train", plan, "--resume", "runs/bad", "train.steps=3", "run.threads=1", code=None)
        check(done.code == 0 and "after step 1" in done.err, "%s: exits %d\n%s", what, done.code, done.err[:800])
        done.says(*says)

    def entry(**more):
        return lambda m: m["files"].append(dict({"name": "x", "bytes": 0, "xxh3_128": "0" * 32}, **more))

    changes = {
        "a path": (entry(name="../../../small.plan"), "wrongly"), "an absolute path": (entry(name="/etc/passwd"), "wrongly"),
        "a hidden file": (entry(name=".x"), "wrongly"), "an escape": (entry(name="\x1b[2J"), "wrongly"),
        "a long name": (entry(name="n" * 300), "wrongly"), "no bytes": (entry(bytes=-1), "wrongly"),
        "bytes as text": (entry(bytes="0"), "wrongly"), "a hash of another length": (entry(xxh3_128="00"), "wrongly"),
        "a missing file": (entry(), "'x'"), "files as a map": (lambda m: m.update(files={}), "lacks a field"),
        "step as text": (lambda m: m.update(step="2"), "lacks a field"),
        "a negative step": (lambda m: m.update(step=-2), "lacks a field"),
        "another step": (lambda m: m.update(step=3), "another step"),
        "no serial": (lambda m: m.update(serial=0), "lacks a field"),
        "another format": (lambda m: m.update(format=2), "unknown format"),
        "no state": (lambda m: m["files"].pop(), "no state.json"),
        "a file twice": (lambda m: m["files"].append(m["files"][0]), "twice"),
    }
    for what, (change, says) in changes.items():
        bad = fresh()
        sealed_manifest(bad, change)
        falls_back(what, says)
    for what, text in {"deep": '{"a":' + "[" * 100000, "not JSON": "hello", "a list": "[1]", "nothing": "",
                       "cut": manifest.read_text()[:200]}.items():
        bad = fresh()
        sealed_manifest(bad, text=text)
        falls_back(what, "not whole")
    bad = fresh()
    (bad / "optim.safetensors").unlink()
    (bad / "optim.safetensors").symlink_to(kit.folder / "runs/good/ckpt/step_00000001/optim.safetensors")
    falls_back("a link", "optim.safetensors")
    bad = fresh()
    shutil.rmtree(bad)
    bad.symlink_to(kit.folder)
    falls_back("a folder that is a link", "no MANIFEST")

    state = json.loads((good / "state.json").read_text())
    table = {"a list": [1], "empty": {}, "text": "x", "null": None}
    for key, value in (("step", -1), ("step", 3), ("step", 2.0), ("step", "2"), ("format", 9), ("batch", 0), ("parts", 0),
                       ("labels", -1), ("labels", 1 << 40), ("data", None), ("plan", 7), ("seed", [])):
        table["%s = %r" % (key, value)] = dict(state, **{key: value})
    for key, value in (("position", -1), ("position", 1 << 60), ("epoch", -1), ("seed", "x"), ("shuffle", 1)):
        table["data.%s = %r" % (key, value)] = dict(state, data=dict(state["data"], **{key: value}))
    for what, value in table.items():
        bad = fresh()
        (bad / "state.json").write_text(json.dumps(value))
        sealed_manifest(bad)
        done = kit.rt("train", plan, "--resume", "runs/bad", "train.steps=3", "run.threads=1", code=None)
        check(done.code in (65, 78), "state.json with %s: exits %d\n%s", what, done.code, done.err[:800])
        done.says("error:")
    for what, text in {"deep": "[" * 100000, "twice": '{"format":1,"format":1}', "a NUL": '{"format\\u0000":1}'}.items():
        bad = fresh()
        (bad / "state.json").write_text(text)
        sealed_manifest(bad)
        kit.rt("train", plan, "--resume", "runs/bad", "train.steps=3", "run.threads=1", code=65).says("state.json")
    # A run's own description, written by somebody else.
    for text in ("[" * 100000, "\0" * 100, '{"model": "\x1b[2J"}', "x" * (2 << 20)):
        shutil.rmtree(kit.folder / "runs/bad", ignore_errors=True)
        shutil.copytree(kit.folder / "runs/good", kit.folder / "runs/bad")
        (kit.folder / "runs/bad/manifest.json").write_text(text)
        kit.rt("sample", plan, "sample.count=1", "-o", "made", "run.threads=1", "-q")


if __name__ == "__main__":
    main()
