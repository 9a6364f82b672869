"""Processes that are compared: started, told what to do, watched. Standard library only."""
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    pass


def tail(log):
    """The last lines of a log."""
    return "".join(Path(log).read_text().splitlines(True)[-15:])


class Process:
    """One line in, one line of JSON out."""

    def __init__(self, name, command, log, env=None):
        self.name = name
        with open(log, "a") as out:
            self.proc = subprocess.Popen([str(w) for w in command], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=out, text=True,
                                         env={**os.environ, **(env or {})})
        self.log = log

    def hear(self):
        line = self.proc.stdout.readline()
        if not line:
            raise Failure("%s ended:\n%s" % (self.name, tail(self.log)))
        return json.loads(line)

    def tell(self, text):
        self.proc.stdin.write(text + "\n")
        self.proc.stdin.flush()
        return self.hear()

    def status(self, key):
        """A line of /proc/PID/status, in bytes."""
        for line in Path("/proc/%d/status" % self.proc.pid).read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise Failure("no %s in /proc" % key)

    def cpu_seconds(self):
        fields = Path("/proc/%d/stat" % self.proc.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def baseline(self):
        """All state is there: what is resident now, and the peak starts anew."""
        self.base = self.status("VmRSS")
        try:
            Path("/proc/%d/clear_refs" % self.proc.pid).write_text("5")
        except OSError as error:
            raise Failure("the peak of a process cannot be reset here: %s" % error)

    def memory(self):
        """Peak, and peak beyond the state."""
        peak = self.status("VmHWM")
        return peak, peak - self.base

    def close(self):
        self.proc.stdin.close()
        try:
            self.proc.wait(30)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        self.proc.stdout.close()


class Torch(Process):
    def __init__(self, name, o, size, batch, how, what, folder):
        super().__init__(name, [o.python, HERE / "worker.py", size, batch, how, what, folder,
                                o.threads], folder / (name + ".log"),
                         {"OMP_NUM_THREADS": str(o.threads)})
        self.is_torch = True

    def run(self, n):
        return self.tell("run %d" % n)["seconds"]

    def prove(self, results):
        return self.tell("prove %s" % results)

    def ready(self):
        self.tell("ready")
        self.baseline()


class Ours(Process):
    """dfm-rt bench --paced; started when it should be ready."""

    def __init__(self, name, o, plan, program, folder):
        inputs = "inputs.safetensors" if program == "forward" else "batch.safetensors"
        self.command = [o.bin / "dfm-rt", "bench", plan, "--program", program, "--paced", "--weights",
                        folder / "weights.safetensors", "--inputs", folder / inputs,
                        "run.threads=%d" % o.threads]
        self.name, self.folder = name, folder
        self.is_torch = False

    def run(self, n):
        return self.tell("%d" % n)["seconds"]

    def ready(self):
        super().__init__(self.name, self.command, self.folder / (self.name + ".log"))
        self.flops = self.hear()["flops"]
        self.baseline()


def machine_seconds():
    """Processor time of the whole machine in use, time that a hypervisor gave to others included."""
    user, nice, system, _, _, irq, soft, steal = map(int, open("/proc/stat").readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICKS


def must(log, *command):
    """Run a program to its end."""
    with open(log, "a") as out:
        if subprocess.run([str(w) for w in command], stdout=out, stderr=out).returncode != 0:
            raise Failure("failed: %s\n%s" % (" ".join(str(w) for w in command), tail(log)))


def python_has_torch(python):
    probe = "import torch, safetensors.torch; print(torch.__version__)"
    p = subprocess.run([python, "-c", probe], capture_output=True, text=True)
    if p.returncode != 0:
        sys.exit("compare: %s has no torch or no safetensors (README.md says which); choose another "
                 "with PYTHON=..." % python)
    return p.stdout.strip()
