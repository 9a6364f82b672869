"""harness.py - what the system tests share: the programs, scratch folders, checks. Python's standard
library only.

A test is a script: `python3 test_x.py --source ROOT --bin DFMC DFM_RT [--only WORD]`. It registers
cases with @case and ends with main(). Every case runs in a fresh empty folder of its own; all are run,
failures are reported together, the exit status is 1 if there is one.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

CASES = []

# A DiT that compiles and steps in no time, with every part of the big one.
SMALL = ["--set", "dim.B=8", "--set", "dim.D=16", "--set", "dim.L=2", "--set", "dim.H=2",
         "--set", "dim.K=16"]


def case(function):
    CASES.append(function)
    return function


class Failed(Exception):
    pass


def check(condition, text, *args):
    if not condition:
        raise Failed(text % args if args else text)


def equal(got, want, what):
    check(got == want, "%s: got %r, expected %r", what, got, want)


class Done:
    """What a finished program left behind."""

    def __init__(self, words, code, out, err, seconds, usage):
        self.words, self.code, self.out, self.err = words, code, out, err
        self.seconds, self.rss_kib = seconds, usage.ru_maxrss
        self.cpu_seconds = usage.ru_utime + usage.ru_stime      # does not grow with the machine's load

    def says(self, *parts):
        """All of these words are in what it printed, whatever the case."""
        text = (self.out + self.err).lower()
        for part in parts:
            check(part.lower() in text, "%s\ndoes not say '%s' but:\n%s", " ".join(self.words), part,
                  (self.out + self.err)[:1500])
        return self


def small_files(limit):
    """For Kit.run(before=...): a write beyond `limit` bytes of a file fails, as on a full disk."""
    def before():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return before


class Kit:
    """The programs under test and a scratch folder."""

    def __init__(self, source, dfmc, dfm_rt, folder, cache):
        self.source, self.dfmc_path, self.rt_path = Path(source), str(dfmc), str(dfm_rt)
        self.folder, self.cache = Path(folder), str(cache)

    def environment(self, **more):
        env = dict(os.environ, XDG_CACHE_HOME=self.cache, OMP_WAIT_POLICY="passive", NO_COLOR="1")
        for key in [k for k in env if k.startswith(("DFM_", "GOMP_"))] + ["OMP_NUM_THREADS"]:
            env.pop(key, None)
        env.update(more)
        return env

    def run(self, *words, code=0, cwd=None, env=None, limit=300, before=None):
        """Run to the end. code=None: any. The status of a program killed by a signal is negative."""
        words = [str(w) for w in words]
        began = time.monotonic()
        out = tempfile.TemporaryFile("w+", errors="replace")
        err = tempfile.TemporaryFile("w+", errors="replace")
        p = subprocess.Popen(words, cwd=cwd or self.folder, env=env or self.environment(), text=True,
                             stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=before)
        kill = time.monotonic() + limit
        while True:
            pid, status, usage = os.wait4(p.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > kill:
                p.kill()
                os.wait4(p.pid, 0)
                raise Failed("%s does not end within %d s" % (" ".join(words), limit))
            time.sleep(0.005)
        p.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
            stream.close()
        done = Done(words, p.returncode, *texts, time.monotonic() - began, usage)
        if code is not None and done.code != code:
            raise Failed("%s\nexits %d, expected %d\n%s%s" % (
                " ".join(words), done.code, code, done.out[-1500:], done.err[:1500]))
        return done

    def dfmc(self, *words, **options):
        return self.run(self.dfmc_path, *words, **options)

    def rt(self, *words, **options):
        return self.run(self.rt_path, *words, **options)

    def start(self, *words, cwd=None):
        """Start and do not wait; output goes to a file in the folder."""
        log = open(self.folder / "started.log", "ab")
        p = subprocess.Popen([str(w) for w in words], cwd=cwd or self.folder, stdout=log, stderr=log,
                             stdin=subprocess.DEVNULL, env=self.environment())
        log.close()
        return p

    def small_plan(self, name="small.plan", *more):
        """models/dit.dfm at SMALL's sizes; the plan's path."""
        path = self.folder / name
        self.dfmc(self.source / "models/dit.dfm", *SMALL, *more, "-q", "-o", path)
        return path

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def listing(self):
        """{path: bytes} of every file below the folder."""
        return {str(p.relative_to(self.folder)): p.read_bytes()
                for p in sorted(self.folder.rglob("*")) if p.is_file()}


# -- formats ---------------------------------------------------------------------------------------


def read_safetensors(path):
    """({name: (dtype, shape, bytes)}, metadata); strict about the container."""
    raw = Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    check(8 + n <= len(raw), "%s: the header is longer than the file", path)
    header = json.loads(raw[8:8 + n])
    meta = header.pop("__metadata__", {})
    body, out, at = raw[8 + n:], {}, 0
    for name, t in sorted(header.items(), key=lambda kv: kv[1]["data_offsets"]):
        begin, end = t["data_offsets"]
        equal(begin, at, "%s: offset of '%s'" % (path, name))
        out[name] = (t["dtype"], t["shape"], body[begin:end])
        at = end
    equal(at, len(body), "%s: bytes of all tensors" % path)
    return out, meta


def write_safetensors(path, tensors):
    """tensors: {name: (dtype, shape, bytes)}."""
    header, body = {}, b""
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def floats(tensor):
    dtype, _, data = tensor
    return struct.unpack("<%d%s" % (len(data) // 4, {"F32": "f", "I32": "i"}[dtype]), data)


def log_lines(run_folder):
    return [json.loads(line) for line in (Path(run_folder) / "log.jsonl").read_text().splitlines()]


# -- the script ------------------------------------------------------------------------------------


def run_case(function, args, root):
    folder = root / function.__name__
    folder.mkdir()
    kit = Kit(args.source.resolve(), args.bin[0], args.bin[1], folder, args.cache or root / "cache")
    began = time.monotonic()
    try:
        function(kit)
    except Failed as failure:
        return "%s\n" % failure
    except Exception:
        return traceback.format_exc()
    finally:
        print("  %-46s %6.1f s" % (function.__name__, time.monotonic() - began), flush=True)
    if not args.keep:
        shutil.rmtree(folder)
    return None


def main(prepare=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True, help="root of the tree")
    parser.add_argument("--bin", nargs=2, required=True, type=lambda p: str(Path(p).resolve()))
    parser.add_argument("--cache", help="folder of compiled kernels (default: a fresh one)")
    parser.add_argument("--only", help="run the cases with this word in their name")
    parser.add_argument("--keep", action="store_true", help="keep the scratch folder")
    args = parser.parse_args()
    os.umask(0o022)
    sys.stdout.reconfigure(line_buffering=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    root = Path(tempfile.mkdtemp(prefix="dfm-system-"))
    failures = []
    chosen = [f for f in CASES if not args.only or args.only in f.__name__]
    if not chosen:
        sys.exit("no case has '%s' in its name" % args.only)
    try:
        for function in chosen:
            text = run_case(function, args, root)
            if text is not None:
                failures.append("FAILED %s: %s" % (function.__name__, text))
                print(failures[-1], flush=True)
    finally:
        if args.keep:
            print("kept: %s" % root)
        else:
            shutil.rmtree(root, ignore_errors=True)
    print("%d cases, %d failed" % (len(chosen), len(failures)))
    sys.exit(1 if failures else 0)
