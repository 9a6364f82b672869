"""The comparison: same start proved, then turns in alternation, then the table. See README.md."""
import argparse
import contextlib
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import sides
import stats
from shapes import model_flops
from sides import HERE, Failure, Ours, Process, Torch, must

ROOT = HERE.parents[1]
LIMIT = 1e-4                                 # loss and gradients of both sides
CONFIGS = {                                  # name: (size, batch, what)
    "S/2": ("S/2", 8, "train"), "B/2": ("B/2", 4, "train"), "sample": ("S/2", 2, "sample"),
    "bf16": ("S/2", 8, "bf16"),
}
turn = contextlib.nullcontext                # around each round of measurements


def say(text):
    print(text, file=sys.stderr, flush=True)


# -- the same start ----------------------------------------------------------------------------------

def compile_plan(o, folder, label, size, batch, options):
    plan = folder / (label.replace(" ", "-") + ".plan")
    must(folder / "dfmc.log", o.bin / "dfmc", ROOT / "models/dit.dfm", "--variant", size, "--set",
         "dim.B=%d" % batch, *options, "-o", plan)
    return plan


def our_results(o, folder, plan, program):
    results = plan.with_suffix(".safetensors")
    must(folder / "dfm-rt.log", o.bin / "dfm-rt", "run", plan, "--program", program, "--weights",
         folder / "weights.safetensors", "--inputs", folder / "inputs.safetensors", "-o", results,
         "run.threads=%d" % o.threads)
    return results


def prove(o, side, results, limit):
    answer = side.prove(results)
    numbers = {k: v for k, v in answer.items() if isinstance(v, float)}
    say("  %s and dfm differ by %s" % (side.name, answer))
    if not all(v <= limit for v in numbers.values()):
        raise Failure("%s and dfm do not compute the same (limit %g): %s. Nothing is timed."
                      % (side.name, limit, answer))
    return numbers


def start(o, name, folder):
    """The sides, ready to run; facts for the head of the table."""
    size, batch, what = CONFIGS[name]
    program = "forward" if what == "sample" else "grad"
    target = o.target or ("cpu:x86-64-v3" if what == "bf16" else "cpu:native")
    say("%s: plan, weights, PyTorch" % name)
    options = {"dfm": ["--precision", "f32", "--target", target]}
    if what == "bf16":
        options["dfm bf16"] = ["--precision", "bf16", "--target", target]
    else:
        for k, v in o.also.items():
            options["dfm " + k] = (options["dfm"][:2] if "--target" in v else options["dfm"]) + v
    plans = {k: compile_plan(o, folder, k, size, batch, v) for k, v in options.items()}
    eager = Torch("eager", o, size, batch, "eager", what, folder)
    eager.tell("make")
    proofs, members = {}, []
    theirs = [eager]
    if what != "bf16" and not o.no_compile:
        theirs.append(Torch("compiled", o, size, batch, "compiled", what, folder))
        theirs[1].tell("load")
    for label, plan in plans.items():
        results = our_results(o, folder, plan, program)
        # bf16 keeps 8 bits: the golden tests hold it to the same limit
        limit = 2e-2 if what == "bf16" and label == "dfm" else 6e-2 if what == "bf16" else LIMIT
        for side in theirs:
            proofs[label, side.name] = prove(o, side, results, limit)
        members.append(Ours(label, o, plan, "forward" if what == "sample" else "step", folder))
    members += theirs
    for side in members:
        side.ready()
    return members, proofs, target


# -- measuring ---------------------------------------------------------------------------------------

def one_turn(side, n):
    """One run to wake up, n that count; and the processor time of everybody else meanwhile, waiting
    sides included, as a share of one core."""
    machine, own = sides.machine_seconds(), side.cpu_seconds()
    warm = side.run(1)[0]
    seconds = side.run(n)
    others = sides.machine_seconds() - machine - (side.cpu_seconds() - own)
    return seconds, max(0.0, others) / (warm + sum(seconds))


def quiet_turn(o, side, n):
    """A turn that others disturbed is taken again, a few times; the least disturbed counts."""
    tries = []
    while not tries or (min(t[1] for t in tries) > o.quiet and len(tries) < 4):
        tries.append(one_turn(side, n))
    return min(tries, key=lambda t: t[1])


def measure(o, members, size, batch, what):
    times = {s.name: [] for s in members}
    rates = {"dnnl_sgemm": [], "torch.mm": []}
    others = []
    sgemm = Process("sgemm", [o.python, HERE / "sgemm.py", size, batch], os.devnull,
                    {"OMP_NUM_THREADS": str(o.threads)})
    eager = next(s for s in members if s.name == "eager")
    runs = o.runs * (10 if what == "sample" else 1)
    for r in range(o.rounds):
        order = members[r % len(members):] + members[:r % len(members)]
        with turn():
            for side in order:
                if what == "bf16" and side.is_torch and r > 0:
                    continue                     # minutes a step without bf16 instructions
                seconds, busy = quiet_turn(o, side, 1 if what == "bf16" and side.is_torch else runs)
                times[side.name] += seconds
                others.append(busy)
            for _ in range(3):
                rates["dnnl_sgemm"].append(sgemm.tell("go")["rate"])
                rates["torch.mm"].append(eager.tell("mm")["rate"])
        say("  round %d of %d: %s; others up to %.0f%%" % (r + 1, o.rounds, ", ".join(
            "%s %.3f" % (k, statistics.median(v)) for k, v in times.items() if v), 100 * max(others)))
    sgemm.close()
    return times, rates, others


# -- saying it ---------------------------------------------------------------------------------------

def processor():
    name, has = platform.machine(), []
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        if key.strip() == "flags":
            has = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in value.split()]
    return "%s (%s)" % (name, " ".join(has)) if has else name


def commit():
    def git(*words):
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout
    return git("rev-parse", "--short", "HEAD").strip() + (" with changes" if git("status", "--porcelain", "-uno") else "")


def mib(n):
    return "%.0f" % (n / 2 ** 20)


def time_rows(members, times, unit):
    rows = []
    for side in members:
        s = stats.summary(times[side.name])
        peak, beyond = side.memory()
        rows.append([side.name, str(s["n"]), "%.4g" % (unit * s["min"]), "%.4g" % (unit * s["median"]),
                     "%.1f%%" % (100 * s["spread"]), mib(peak), mib(beyond)])
    return rows


def ratio_line(ours, theirs, times, members):
    r = stats.ratios(times[ours], times[theirs])
    byname = {m.name: m for m in members}
    text = "**%s against %s: %.3fx by medians, %.3fx by minima**" % (ours, theirs, r["median"], r["min"])
    if "low" in r:
        text += " (half of the pairs: %.2f to %.2f)" % (r["low"], r["high"])
    share = byname[ours].memory()[1] / max(1, byname[theirs].memory()[1])
    return text + "; memory beyond the state: %.2f of it" % share


def report(o, name, members, proofs, target, times, rates, others):
    size, batch, what = CONFIGS[name]
    ms = what == "sample"
    lines = ["", "## %s, batch %d, %s" % (size, batch, {"train": "training step, f32", "sample":
             "one forward pass, f32", "bf16": "training step, bf16 against f32"}[what]), "",
             "Target %s; largest relative differences from PyTorch: %s." % (target, "; ".join(
                 "%s and %s: %s" % (*k, ", ".join("%s %.1e" % i for i in v.items()))
                 for k, v in proofs.items())), ""]
    lines += stats.table(["side", "runs", "min " + ("ms" if ms else "s"), "median", "spread", "peak MiB",
                          "beyond the state MiB"], time_rows(members, times, 1e3 if ms else 1))
    lines += [""]
    if what == "bf16":
        r = stats.ratios(times["dfm bf16"], times["dfm"])
        lines += ["**bf16 takes %.3f of the f32 time by medians, %.3f by minima.**"
                  % (1 / r["median"], 1 / r["min"]), ""]
    else:
        theirs = stats.better({m.name: times[m.name] for m in members if m.is_torch})
        for m in members:
            if not m.is_torch:
                lines += [ratio_line(m.name, theirs, times, members), ""]
    s = stats.summary(times["dfm"])
    flops, truth = members[0].flops, model_flops(size, batch, what != "sample")
    best = {k: (statistics.median(v), max(v)) for k, v in rates.items()}
    lines += ["One run: %.1f GFLOP by the plan, %.1f in the model's products and attention. Rate by "
              "the latter, median: %.1f GFLOP/s, best: %.1f." % (
                  flops / 1e9, truth / 1e9, truth / s["median"] / 1e9, truth / s["min"] / 1e9),
              "On the step's own products: " + ", ".join(
                  "%s %.1f GFLOP/s (best %.1f)" % (k, m / 1e9, b / 1e9) for k, (m, b) in best.items()) + ".",
              "Share: %.1f%% of dnnl_sgemm by medians, %.1f%% by best." % (
                  100 * truth / s["median"] / best["dnnl_sgemm"][0],
                  100 * truth / s["min"] / best["dnnl_sgemm"][1]),
              "All other processes, those waiting included, used %.1f%% of a core during a turn in the "
              "median, %.1f%% at most." % (100 * statistics.median(others), 100 * max(others))]
    return lines


def arguments(argv=None):
    parser = argparse.ArgumentParser(prog="run.sh", description="The same DiT step here and in PyTorch, "
                                     "alternating on the same cores. README.md says how.")
    parser.add_argument("configs", nargs="*", default=["all"], metavar="CONFIG",
                        help="S/2, B/2, sample, bf16 or all (the default: the first three)")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each side (default 8)")
    parser.add_argument("--runs", type=int, default=2, help="timed runs of a turn (default 2; 20 for sample)")
    parser.add_argument("--threads", type=int, default=2, help="of each side, on as many cores (default 2)")
    parser.add_argument("--target", help="dfmc's target (default cpu:native)")
    parser.add_argument("--also", action="append", default=[], metavar="NAME=OPTIONS",
                        help="one more side of ours: dfmc's options, as half='--memory 950MiB'")
    parser.add_argument("--bin", type=Path, default=ROOT / "build/release/bin", help="folder of dfmc and dfm-rt")
    parser.add_argument("--quiet", type=float, default=0.05, metavar="SHARE",
                        help="repeat a turn while others use more of a core than this (default 0.05)")
    parser.add_argument("--no-compile", action="store_true", help="PyTorch eager only")
    parser.add_argument("-o", "--out", type=Path, help="append the tables to this file")
    o = parser.parse_args(argv)
    o.python = sys.executable
    names = ["S/2", "B/2", "sample"] if "all" in o.configs else o.configs
    for name in names:
        if name not in CONFIGS:
            parser.error("no configuration '%s': %s or all" % (name, ", ".join(CONFIGS)))
    if o.rounds < 1 or o.runs < 1 or o.threads < 1:
        parser.error("--rounds, --runs and --threads are at least 1")
    for word in o.also:
        name, _, options = word.partition("=")
        if not name or not options.strip():
            parser.error("--also '%s' is not NAME=OPTIONS, as half='--memory 950MiB'" % word)
    if o.also and "bf16" in names:
        parser.error("--also adds sides to S/2, B/2 and sample; bf16 compares three of its own")
    o.configs = names
    o.also = {k: shlex.split(v) for k, _, v in (word.partition("=") for word in o.also)}
    return o


def main(argv=None):
    o = arguments(argv)
    torch = sides.python_has_torch(o.python)
    cores = sorted(os.sched_getaffinity(0))[:o.threads]
    os.sched_setaffinity(0, cores)
    lines = ["# DiT here and in PyTorch", "", "- processor: %s, %d cores" % (processor(), len(cores)),
             "- commit: %s; PyTorch %s" % (commit(), torch),
             "- command: `run.sh %s`" % " ".join(argv if argv is not None else sys.argv[1:])]
    for name in o.configs:
        size, batch, what = CONFIGS[name]
        with tempfile.TemporaryDirectory(prefix="dfm-compare-") as folder:
            members = []
            try:
                members, proofs, target = start(o, name, Path(folder))
                times, rates, others = measure(o, members, size, batch, what)
                lines += report(o, name, members, proofs, target, times, rates, others)
            except Failure as error:
                sys.exit("compare: %s" % error)
            finally:
                for side in members:
                    side.close()
    text = "\n".join(lines) + "\n"
    print(text)
    if o.out:
        o.out.write_text(text)


if __name__ == "__main__":
    main()
