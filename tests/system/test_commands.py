#!/usr/bin/env python3
"""test_commands.py: the user's own commands, exactly as typed, in an empty folder and installed."""
import math
import os
import shutil
import struct
import subprocess
import zlib

from harness import case, check, equal, floats, log_lines, main, read_safetensors


def read_png(path):
    """(width, height, rows of bytes) of an 8-bit picture, every checksum verified."""
    raw = path.read_bytes()
    equal(raw[:8], b"\x89PNG\r\n\x1a\n", "signature of %s" % path)
    at, data, head = 8, b"", None
    while at < len(raw):
        n, kind = struct.unpack(">I4s", raw[at:at + 8])
        body = raw[at + 8:at + 8 + n]
        crc = struct.unpack(">I", raw[at + 8 + n:at + 12 + n])[0]
        equal(crc, zlib.crc32(kind + body), "checksum of %s" % kind)
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            data += body
        at += 12 + n
    equal(kind, b"IEND", "last chunk")
    width, height, depth, colour = head[:4]
    equal(depth, 8, "bits")
    channels = {0: 1, 2: 3, 6: 4}[colour]
    rows = zlib.decompress(data)
    equal(len(rows), height * (1 + width * channels), "bytes of the picture")
    return width, height, rows


def check_samples(folder, count):
    tensors, _ = read_safetensors(folder / "samples.safetensors")
    equal(sorted(tensors), ["images", "labels"], "tensors")
    equal(tensors["images"][:2], ("F32", [count, 1, 8, 8]), "images")
    equal(tensors["labels"][:2], ("I32", [count]), "labels")
    values = floats(tensors["images"])
    check(all(math.isfinite(v) and 0 <= v <= 1 for v in values), "pixels outside 0..1")
    check(max(values) - min(values) > 0.1, "all pixels are alike")
    equal(list(floats(tensors["labels"])), [i % 10 for i in range(count)], "labels")
    width, height, rows = read_png(folder / "samples.png")
    check(width > 80 and height > 80, "the grid is %d x %d", width, height)
    check(len(set(rows)) > 4, "the grid is empty")


def train_and_sample(kit, env, folder):
    """The three commands as the manual has them; training is cut to a few steps by a key."""
    def typed(line):
        done = kit.run("sh", "-c", line, cwd=folder, env=env)
        return done

    typed("dfmc models/dit.dfm -o dit.plan").says("723,844 parameters", "arena")
    typed("dfm-rt train dit.plan train.steps=4").says("1,797 samples", "run folder: runs/dit-1", "done")
    typed("dfm-rt sample dit.plan").says("averaged", "500 samples: runs/dit-1/samples.safetensors")
    run = folder / "runs/dit-1"
    equal([line["step"] for line in log_lines(run)], [1, 2, 3, 4], "steps in the log")
    for name in ("config.yaml", "manifest.json", "plan.plan", "ckpt/latest"):
        check((run / name).is_file(), "no %s", name)
    check_samples(run, 500)
    left = sorted(p.name for p in folder.iterdir())
    equal(left, ["dit.plan", "models", "runs"], "what the commands leave")


@case
def as_typed_beside_a_copy_of_the_models(kit):
    shutil.copytree(kit.source / "models", kit.folder / "models")
    folders = {os.path.dirname(kit.dfmc_path), os.path.dirname(kit.rt_path)}
    env = kit.environment(PATH=":".join(sorted(folders) + [os.environ["PATH"]]))
    train_and_sample(kit, env, kit.folder)
    # A second run takes the next folder; the first keeps what it has.
    before = (kit.folder / "runs/dit-1/log.jsonl").read_bytes()
    kit.rt("train", "dit.plan", "train.steps=2", env=env).says("run folder: runs/dit-2")
    equal((kit.folder / "runs/dit-1/log.jsonl").read_bytes(), before, "the first run's log")
    check_samples_of_newest(kit, env)


def check_samples_of_newest(kit, env):
    kit.rt("sample", "dit.plan", "sample.count=7", "-o", "here", env=env).says("runs/dit-2")
    check_samples(kit.folder / "here", 7)


@case
def installed_and_moved(kit):
    """After `cmake --install`: no file of the source tree is needed, from any folder."""
    build = os.environ.get("DFM_BUILD_FOLDER")
    check(build, "DFM_BUILD_FOLDER is not set")
    prefix = kit.folder / "first"
    kit.run("cmake", "--install", build, "--prefix", prefix)
    moved = kit.folder / "moved"
    prefix.rename(moved)
    equal(sorted(p.name for p in (moved / "bin").iterdir()), ["dfm-rt", "dfmc"], "programs")
    share = moved / "share/dfm/models"
    for name in ("dit.dfm", "std/prelude.dfm", "data/digits.tar", "data/LICENSE-digits.txt"):
        check((share / name).is_file(), "%s is not installed", name)
    work = kit.folder / "work"
    work.mkdir()
    env = kit.environment(PATH="%s:%s" % (moved / "bin", os.environ["PATH"]))

    # Where the source tree of the build is cannot matter: hide it where that is permitted.
    hide = ["unshare", "-m", "sh", "-c",
            'mount -t tmpfs none "$0" 2>/dev/null && exec "$@"', str(kit.source / "models")]
    can_hide = os.geteuid() == 0 and subprocess.run(hide + ["true"], capture_output=True).returncode == 0
    prefix_words = hide if can_hide else []
    if not can_hide:
        print("    (the source tree cannot be hidden here)")

    def typed(*words):
        return kit.run(*prefix_words, *words, cwd=work, env=env)

    typed("dfmc", share / "dit.dfm", "-o", "dit.plan")
    typed("dfm-rt", "train", "dit.plan", "train.steps=2").says("1,797 samples", str(moved))
    typed("dfm-rt", "sample", "dit.plan", "sample.count=11")
    check_samples(work / "runs/dit-1", 11)
    # A program of one's own, far from the library.
    shutil.copy(share / "dit.dfm", work / "mine.dfm")
    typed("dfmc", "mine.dfm", "-o", "mine.plan")
    typed("dfm-rt", "train", "mine.plan", "train.steps=1").says("1,797 samples")


@case
def another_host_compiler(kit):
    """--cc clang, where it links OpenMP: products and attention of 24 features, both ways."""
    probe = kit.write("probe.c", "int main(void) { return 0; }\n")
    words = ["clang", "-fopenmp", "-march=x86-64-v2", str(probe), "-o", str(kit.folder / "probe")]
    if not shutil.which("clang") or subprocess.run(words, capture_output=True).returncode != 0:
        print("    (there is no clang that links OpenMP)")
        return
    # Two OpenMP runtimes in one process: the leak checker of a sanitizer build stumbles over them.
    env = kit.environment(ASAN_OPTIONS="detect_leaks=0")
    losses = {}
    for cc in ("cc", "clang"):
        kit.dfmc(kit.source / "models/dit.dfm", "-o", cc + ".plan", "-q", "--cc", cc,
                 "--set", "dim.B=8", "--set", "dim.D=48", "--set", "dim.L=1", "--set", "dim.H=2")
        kit.rt("train", cc + ".plan", "train.steps=3", "run.name=" + cc, env=env)
        lines = log_lines(kit.folder / "runs" / cc)
        losses[cc] = [line["dfm_loss"] for line in lines if "dfm_loss" in line]
    check(len(losses["cc"]) > 0, "no losses")
    for x, y in zip(losses["cc"], losses["clang"]):
        check(abs(x - y) < 1e-5 * abs(x), "losses %s and %s", x, y)


if __name__ == "__main__":
    main()
