"""Does a program compute what its twin in PyTorch does? Asked before anything is timed."""
import os
import subprocess
import sys

import torch
from safetensors.torch import load_file, save_file

LIMIT = 1e-4                    # of the relative difference of the value and of every gradient


def shake(module):
    """No parameter stays zero or one: behind those a wrong gradient would not be seen."""
    with torch.no_grad():
        for p in module.parameters():
            if p.ndim < 2:
                p += 0.1 * torch.randn(p.shape)


def relative(x, reference):
    x, reference = x.double(), reference.double()
    return ((x - reference).norm() / reference.norm()).item()


def write_start(folder, module, inputs, names):
    """Weights and inputs as files: what --weights and --inputs take."""
    weights, data = os.path.join(folder, "weights.st"), os.path.join(folder, "inputs.st")
    save_file({names.get(n, n): p.detach().contiguous() for n, p in module.named_parameters()},
              weights)
    save_file(inputs, data)
    return ["--weights", weights, "--inputs", data]


def prove(rt, plan, start, folder, module, call, inputs, names, threads):
    """The forward value, and loss and gradients of its mean square; ends the process if they differ.
    `call` is what will be timed; `names` gives the parameters that are called otherwise here."""
    def ours(program):
        out = os.path.join(folder, program + ".st")
        subprocess.run([rt, "run", plan, "--program", program, *start, "-o", out, "-q",
                        "run.threads=%d" % threads], check=True)
        return load_file(out)
    module.zero_grad(set_to_none=True)
    value = call(*inputs.values())
    loss = value.square().mean()
    loss.backward()
    found = ours("grad")
    differ = {"value": relative(ours("forward")["out"], value), "loss": relative(found["loss"], loss)}
    for name, p in module.named_parameters():
        name = names.get(name, name)
        differ["gradient of " + name] = relative(found["grad." + name].view_as(p), p.grad)
    module.zero_grad(set_to_none=True)
    worst = max(differ, key=lambda k: differ[k] if differ[k] == differ[k] else float("inf"))
    print("relative differences: value %.1e, loss %.1e, largest %.1e (%s)" %
          (differ["value"], differ["loss"], differ[worst], worst))
    if not all(d <= LIMIT for d in differ.values()):
        sys.exit("the two sides do not compute the same (limit %g): nothing is timed" % LIMIT)
