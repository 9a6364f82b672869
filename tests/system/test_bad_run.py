#!/usr/bin/env python3
"""test_bad_run.py: what dfm-rt says to wrong command lines, configurations, data and weights, to full
disks and diverging runs; what was there stays, nothing half-written is left."""
import io
import os
import shutil
import struct
import subprocess
import tarfile

from harness import (case, check, equal, log_lines, main, read_safetensors, small_files,
                     write_safetensors)


# Weights larger than the plan, and a limit of file sizes between the two.
WIDE, LIMIT = ["--set", "dim.D=48"], 700000


def differences(before, after):
    return sorted(k for k in set(before) | set(after) if before.get(k) != after.get(k))


def refused(kit, words, code, *says, left=(), **options):
    """Exits with `code` and these words; no file changes except those below folders in `left`."""
    before = kit.listing()
    done = kit.rt(*words, code=code, **options)
    done.says("error:", *says)
    equal(done.err.count("error:"), 1, "times it says error:\n%s" % done.err[-800:])
    changed = [k for k in differences(before, kit.listing()) if not k.startswith(tuple(left))]
    check(not changed, "%s\nchanged files: %s", " ".join(done.words), changed)
    return done


def trained(kit, *more):
    """A plan and a run of three steps: what wrong commands must not harm."""
    plan = kit.small_plan("dit.plan", *more)
    kit.rt("train", plan, "train.steps=3", "run.name=good", "run.threads=1", "-q")
    kit.rt("sample", plan, "sample.count=10", "-q", "run.threads=1")
    return plan


@case
def wrong_commands(kit):
    plan = trained(kit)
    refused(kit, ["tran", plan], 64, "tran", "train")
    refused(kit, ["train"], 64, "needs a plan")
    refused(kit, ["train", plan, "--resum"], 64, "--resum", "--resume")
    refused(kit, ["sample", plan, "--program", "loss"], 64, "--program")
    refused(kit, ["train", plan, "other"], 64, "other")
    refused(kit, ["run", plan, "--program", "fwd", "-o", "x.safetensors"], 64, "fwd", "forward")
    refused(kit, ["run", plan, "--program", "loss"], 64, "-o")
    refused(kit, ["train", "none.plan"], 65, "none.plan", "No such file")
    refused(kit, ["train", kit.folder], 65, str(kit.folder))
    refused(kit, ["train", plan, "train.step=3"], 78, "train.step", "train.steps")
    refused(kit, ["train", plan, "steps=3"], 78, "steps")
    refused(kit, ["train", plan, "train.steps=ten"], 78, "train.steps", "ten", "whole number")
    refused(kit, ["train", plan, "train.steps=0"], 78, "train.steps", "1 to")
    refused(kit, ["train", plan, "data.shuffle=perhaps"], 78, "data.shuffle", "true or false")
    refused(kit, ["train", plan, "run.name=good"], 78, "good", "holds a run", "--resume")
    refused(kit, ["train", plan, "--resume", "nowhere"], 78, "nowhere")
    refused(kit, ["sample", plan, "run.folder=nowhere"], 65, "no trained weights", "train first")
    refused(kit, ["sample", plan, "sample.count=0"], 78, "sample.count")


@case
def wrong_configuration_files(kit):
    plan = trained(kit)
    table = {
        "train: {step: 3}": ["train.step", "train.steps", "c.yaml:1"],
        "train:\n  steps: 3\n  steps: 4\n": ["steps", "c.yaml:3"],
        "train:\n  steps: many\n": ["train.steps", "many", "c.yaml:2"],
        "train: [1, 2]\n": ["lists", "c.yaml:1"],
        "train:\n  steps: 3\n bad: {": ["c.yaml:"],
        "train: {steps: 3": ["c.yaml:"],
        "\x00\x01": ["c.yaml"],
    }
    for text, says in table.items():
        kit.write("c.yaml", text)
        refused(kit, ["train", plan, "--config", "c.yaml"], 78, *says)
    refused(kit, ["train", plan, "--config", "none.yaml"], 78, "none.yaml")
    kit.write("c.yaml", "train:\n  steps: 2\nrun:\n  name: by-file\n  threads: 1\n")
    kit.rt("train", plan, "--config", "c.yaml").says("runs/by-file", "done: 2 steps")


def npy(shape=(8, 8), descr="|u1", data=None):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (descr, shape)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    n = {"|u1": 1, "<f4": 4}[descr]
    for extent in shape:
        n *= extent
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + (data or bytes(n))


def shard(kit, name, members):
    with tarfile.open(kit.folder / name, "w", format=tarfile.USTAR_FORMAT) as tar:
        for member, data in members:
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return name


def samples(n=9, image=None, label=b"3"):
    """Good samples, and as the last one that of the arguments."""
    out = []
    for i in range(n):
        last = i == n - 1
        out += [("%d.cls" % i, label if last else b"%d" % i),
                ("%d.image.npy" % i, image if last and image else npy((1, 8, 8), "<f4"))]
    return out


@case
def wrong_data(kit):
    plan = trained(kit)
    good = (kit.source / "models/data/digits.tar").read_bytes()

    def data(path, *says):
        refused(kit, ["train", plan, "data.path=%s" % path, "run.threads=1"], 65, path, *says)

    data("none.tar", "no data", "--mock")
    kit.write("empty.tar", b"")
    data("empty.tar", "not a tar")
    kit.write("zeros.tar", bytes(10240))
    data("zeros.tar")
    kit.write("text.tar", "hello " * 1000)
    data("text.tar", "tar")
    for size in (100, 700, 1100, len(good) // 2, len(good) // 2 + 600):
        kit.write("cut.tar", good[:size])
        data("cut.tar")
    flipped = bytearray(good)
    flipped[148] ^= 1                                    # the checksum of the first header
    kit.write("flipped.tar", bytes(flipped))
    data("flipped.tar")
    kit.write("void/readme.txt", "no shard")
    data("void")
    shard(kit, "shape.tar", samples(image=npy((1, 8, 9), "<f4")))
    data("shape.tar", "'8'", "image.npy", "[1, 8, 9]", "[1, 8, 8]")
    shard(kit, "cut-npy.tar", samples(image=npy((1, 8, 8), "<f4")[:-5]))
    data("cut-npy.tar", "'8'", "image.npy")
    shard(kit, "no-npy.tar", samples(image=b"P5 8 8 255"))
    data("no-npy.tar", "'8'", "image.npy")
    for label in (b"three", b"", b"3.5", b"99999999999"):
        shard(kit, "label.tar", samples(label=label))
        data("label.tar", "'8'", "cls")
    for label in (b"-1", b"11", b"1000"):                # ten digits and "no class" have rows
        shard(kit, "label.tar", samples(label=label))
        data("label.tar", "'8'", "cls", label.decode(), "0 to 10")
    shard(kit, "half.tar", samples()[:-1])
    data("half.tar", "image.npy")
    shard(kit, "twice.tar", samples() + samples()[-1:])
    data("twice.tar", "image.npy", "twice")
    shard(kit, "good.tar", samples())                    # the frame itself is good
    kit.rt("train", plan, "data.path=good.tar", "train.steps=2", "run.threads=1")
    shutil.move(kit.folder / "runs", kit.folder / "kept")
    refused(kit, ["sample", plan], 65, "no trained weights")


@case
def wrong_weights(kit):
    """One report for all tensors that do not fit: missing, extra, wrong shape, wrong type."""
    plan = trained(kit)
    run = kit.folder / "runs/good/ckpt/step_00000003/model.safetensors"
    tensors, _ = read_safetensors(run)
    names = sorted(n for n in tensors if n.endswith("attn.qkv.weight"))
    check(len(names) == 2, "names: %s", sorted(tensors)[:9])
    kit.rt("train", plan, "--weights", run, "train.steps=1", "run.threads=1", "-q")

    def use(change, *says):
        changed = dict(tensors)
        change(changed)
        write_safetensors(kit.folder / "w.safetensors", changed)
        for words in (["train", plan], ["sample", plan, "-o", "made"],
                      ["run", plan, "--program", "loss", "-o", "o.safetensors"]):
            refused(kit, [*words, "--weights", "w.safetensors", "run.threads=1"], 65, *says)

    def shape(t, name, new):
        t[name] = (t[name][0], new, t[name][2])

    def retype(t, name):
        t[name] = ("I32", t[name][1], t[name][2])

    def many(t):
        del t[names[0]]
        shape(t, names[1], [16, 48])
        retype(t, "t_embedder.mlp.0.bias")
        t["stray.weight"] = ("F32", [2], bytes(8))

    use(lambda t: t.pop(names[0]), names[0], "missing")
    use(lambda t: shape(t, names[0], [16, 48]), names[0], "[16, 48]", "[48, 16]")
    use(lambda t: retype(t, names[0]), names[0], "I32")
    use(lambda t: t.update(stray=("F32", [2], bytes(8))), "stray", "does not have")
    use(many, "do not fit", names[0], names[1], "t_embedder.mlp.0.bias", "stray.weight")
    whole = run.read_bytes()
    for name, data in (("empty", b""), ("cut", whole[:len(whole) // 2]), ("head", whole[:100]),
                       ("noise", b"\xff" * 1000)):
        kit.write(name + ".safetensors", data)
        refused(kit, ["train", plan, "--weights", name + ".safetensors"], 65, name + ".safetensors")
    refused(kit, ["train", plan, "--weights", "none.safetensors"], 65, "none.safetensors")


@case
def wrong_inputs_of_a_program(kit):
    plan = kit.small_plan()
    image = ("F32", [8, 1, 8, 8], bytes(8 * 64 * 4))
    good = {"x": image, "t": ("F32", [8], bytes(32)), "y": ("I32", [8], bytes(32))}
    init = ["run", plan, "--program", "forward", "-o", "o.safetensors", "run.threads=1"]

    def use(tensors, *says):
        write_safetensors(kit.folder / "i.safetensors", tensors)
        refused(kit, [*init, "--inputs", "i.safetensors"], 65, *says)

    use({k: v for k, v in good.items() if k != "t"}, "t")
    use(dict(good, z=("F32", [1], bytes(4))), "z")
    use(dict(good, x=("F32", [8, 1, 8, 7], bytes(8 * 56 * 4))), "x", "8")
    write_safetensors(kit.folder / "i.safetensors", good)
    kit.rt(*init, "--inputs", "i.safetensors")
    refused(kit, [*init[:5], "no/such/folder/o.safetensors", "--inputs", "i.safetensors"], 73, "no/such/folder")


@case
def diverging_loss(kit):
    """NaN stops the run at once; the checkpoint of before stays and is the one that is left."""
    text = (kit.source / "models/dit.dfm").read_text()
    wild = text.replace("lr=2e-3", "lr=1e30").replace("use clip_norm(1.0)\n", "")
    check(wild != text, "nothing to replace")
    kit.write("dit.dfm", wild)
    kit.dfmc("dit.dfm", "-q", "-o", "dit.plan", "--set", "dim.B=8", "--set", "dim.D=16", "--set", "dim.L=1",
             "--set", "dim.H=2", "--set", "dim.K=16")
    done = refused(kit, ["train", "dit.plan", "train.steps=50", "train.ckpt_every=1", "run.name=wild",
                         "run.threads=1"], 65, "step", "learning rate", "--resume", left=["runs/wild/"])
    check("nan" in done.err.lower() or "infinite" in done.err, "which value:\n%s", done.err)
    lines = log_lines(kit.folder / "runs/wild")
    check(2 <= len(lines) < 50, "%d steps in the log", len(lines))
    latest = kit.folder / "runs/wild/ckpt" / (kit.folder / "runs/wild/ckpt/latest").read_text().strip()
    equal(latest.name, "step_%08d" % (lines[-1]["step"] - 1), "checkpoint that is left")
    done = refused(kit, ["train", "dit.plan", "train.steps=50", "run.name=wilder", "run.threads=1"], 65,
                   "no checkpoint yet", left=["runs/wilder/"])
    check("--resume" not in done.err, "there is nothing to resume:\n%s", done.err)
    tensors, _ = read_safetensors(latest / "model.safetensors")
    for name, (_, _, data) in tensors.items():
        values = struct.unpack("<%df" % (len(data) // 4), data)
        check(all(v == v for v in values), "%s of the checkpoint has NaN", name)


@case
def a_learning_rate_that_is_too_large(kit):
    """By a key, without a change of the program."""
    plan = kit.small_plan()
    refused(kit, ["train", plan, "train.lr=1e6", "train.steps=400", "run.name=wild", "run.threads=1"], 65,
            "learning rate", left=["runs/wild/"])
    refused(kit, ["train", plan, "train.lr=-1"], 78, "train.lr", "0 to")
    kit.rt("train", plan, "train.lr=1e-3", "train.steps=100", "run.name=half", "run.threads=1", "-q")
    rates = [line["dfm_lr"] for line in log_lines(kit.folder / "runs/half")]
    check(abs(rates[-1] - 1e-3) < 1e-9 and abs(rates[49] - 5e-4) < 1e-9, "rates: %s", rates[::10])


@case
def full_disk_while_saving(kit):
    """No room for a checkpoint: exit 73, the checkpoint before is whole and usable."""
    plan = trained(kit, *WIDE)
    run = kit.folder / "runs/good"
    before = {p: d for p, d in kit.listing().items() if p.startswith("runs/good/ckpt")}
    refused(kit, ["train", plan, "--resume", run, "train.steps=6", "run.threads=1"], 73,
            "saving the checkpoint of step 6",
            left=["runs/good/" + name for name in ("log.jsonl", "config.yaml", "overrides.txt")], before=small_files(LIMIT))
    after = {p: d for p, d in kit.listing().items() if p.startswith("runs/good/ckpt")}
    equal(differences(before, after), [], "changes in ckpt/")
    kit.rt("train", plan, "--resume", run, "train.steps=6", "run.threads=1").says("after step 3", "done: 6")
    refused(kit, ["sample", plan, "-o", "made", "sample.count=4000", "run.threads=1"], 73, "made",
            left=["made/"], before=small_files(LIMIT))
    check(not [p for p in kit.listing() if p.startswith("made/")], "left in made/: %s", kit.listing().keys())


@case
def a_disk_that_is_really_full(kit):
    plan = kit.small_plan()
    script = ('mkdir full && mount -t tmpfs -o size=700k none full || exit 99; '
              '"$0" train "$1" run.folder=full run.name=r train.steps=40 train.ckpt_every=1 '
              'train.ckpt_keep=0 run.threads=1; code=$?; cp -r full/r/ckpt copy; exit $code')
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    if probe.returncode != 0:
        return print("    (mounting is not permitted here: left out)")
    done = kit.run("unshare", "-m", "sh", "-c", script, kit.rt_path, plan, code=73)
    done.says("No space left", "saving the checkpoint")
    left = sorted(p.name for p in (kit.folder / "copy").iterdir())
    check(len(left) >= 2 and left[0] == "latest" and not [n for n in left if "tmp" in n], "left: %s", left)
    kit.rt("sample", plan, "--weights", kit.folder / "copy" / left[-1], "-o", "made", "sample.count=3",
           "run.threads=1")


@case
def folders_without_permission(kit):
    plan = kit.small_plan()
    kit.write("file", "a file")
    refused(kit, ["train", plan, "run.folder=file", "train.steps=1", "run.threads=1"], 73, "file")
    kit.rt("train", plan, "train.steps=1", "run.threads=1", "-q")
    refused(kit, ["sample", plan, "-o", "file", "run.threads=1", "sample.count=1"], 73, "file")
    done = kit.run("sh", "-c", '"$0" info "$1" >/dev/full', kit.rt_path, plan, code=73)
    done.says("error", "write")
    if os.geteuid() == 0:
        return print("    (root may write everywhere: a part is left out)")
    closed = kit.folder / "closed"
    closed.mkdir(mode=0o500)
    refused(kit, ["train", plan, "run.folder=closed/runs", "train.steps=1"], 73, "closed")


if __name__ == "__main__":
    main()
