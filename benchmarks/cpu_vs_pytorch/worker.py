"""One side of the comparison: PyTorch, in a process that does one thing per line of its input.

    worker.py SIZE BATCH eager|compiled train|bf16|sample FOLDER THREADS

Commands, one a line; each is answered by one line of JSON:
    make        draw weights and a batch, write FOLDER/weights.safetensors,
                inputs.safetensors and batch.safetensors (what a step does not draw)
    load        read them
    prove F     compare with the results in F: largest relative difference of loss and gradients
                (train) or of the output (sample)
    ready       allocate and touch all state; what follows grows from here
    run N       N runs, each timed
    mm          rate of torch.mm on the products of the step
Runs sleep between commands: OpenMP's threads of this process stop spinning after milliseconds.
"""
import ctypes
import gc
import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import dit
from shapes import products

EMA = 0.9999


class Side:
    def __init__(self, size, batch, how, what, folder, threads):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        self.size, self.batch, self.what, self.folder = size, batch, what, Path(folder)
        self.model = dit.build(size)
        self.loss = dit.Ddpm(self.model)
        self.params = [p for p in self.model.parameters() if p.requires_grad]
        self.call = self.loss if what != "sample" else self.model
        if how == "compiled":
            self.call = torch.compile(self.call, dynamic=False)
        self.optimizer = None

    # -- the same start on both sides ------------------------------------------------------------

    def make(self):
        g = torch.Generator().manual_seed(1)
        weights = {}
        for name, p in self.model.named_parameters():
            if p.ndim == 1:
                scale = 0.1
            elif name.startswith("t_embedder.mlp.0"):
                scale = 0.06
            elif name.startswith("y_embedder"):
                scale = 0.5
            else:
                scale = 0.8 / p[0].numel() ** 0.5
            weights[name] = torch.randn(p.shape, generator=g) * scale
        save_file(weights, self.folder / "weights.safetensors")
        shape = (self.batch, 4, self.model.side, self.model.side)
        steps = torch.randint(1, 1000, (self.batch,), generator=g)
        steps[0] = 0                         # the first step has a term of its own
        label = torch.randint(0, 1000, (self.batch,), generator=g)
        if self.what == "sample":
            inputs = {"x": torch.randn(shape, generator=g), "t": steps.float(), "y": label.int()}
        else:
            inputs = {"x0": torch.randn(shape, generator=g) * 0.7, "label": label.int(),
                      "t": steps.int(), "eps": torch.randn(shape, generator=g),
                      "drop": torch.rand(self.batch, generator=g)}
        save_file(inputs, self.folder / "inputs.safetensors")
        batch = {k: v for k, v in inputs.items() if k in ("x0", "label")}
        save_file(batch, self.folder / "batch.safetensors")
        return self.load()

    def load(self):
        weights = load_file(self.folder / "weights.safetensors")
        missing = self.model.load_state_dict(weights, strict=False)
        assert not missing.missing_keys and not missing.unexpected_keys, missing
        inputs = load_file(self.folder / "inputs.safetensors")
        self.inputs = {k: v.long() if v.dtype == torch.int32 else v for k, v in inputs.items()}
        return {"parameters": sum(p.numel() for p in self.params)}

    def prove(self, results):
        theirs = load_file(results)
        if self.what == "sample":
            with torch.inference_mode():
                return {"out": relative(theirs["out"], self.call(**self.inputs))}
        loss = self.backward(**self.inputs)
        worst, where = 0.0, ""
        for name, p in self.model.named_parameters():
            r = relative(theirs["grad." + name].view_as(p), p.grad)
            if not r <= worst:
                worst, where = r, name
        self.model.zero_grad()
        ours = theirs["loss"].item()
        return {"loss": abs(ours - loss) / abs(loss), "grad": worst, "where": where}

    # -- running ---------------------------------------------------------------------------------

    def backward(self, **inputs):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.what == "bf16"):
            loss = self.call(**inputs)
        loss.backward()
        return loss.item()

    def step(self):
        B = self.batch
        x0 = self.inputs["x0"]
        t = torch.randint(0, 1000, (B,))
        loss = self.backward(x0=x0, label=self.inputs["label"], t=t, eps=torch.randn_like(x0),
                             drop=torch.rand(B))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.params, 1 - EMA)
        return loss

    def forward(self):
        with torch.inference_mode():
            return self.call(**self.inputs)

    def run(self, n):
        once = self.forward if self.what == "sample" else self.step
        seconds = []
        for _ in range(n):
            begin = time.perf_counter()
            once()
            seconds.append(time.perf_counter() - begin)
        return {"seconds": seconds}

    def ready(self):
        """Weights, gradients, optimizer and average exist and are touched; what the first runs
        (and the compiler) left behind goes back to the system."""
        if self.what != "sample":
            if not self.optimizer:
                self.optimizer = torch.optim.AdamW(self.params, lr=1e-4, weight_decay=0.0, fused=True)
                self.average = [p.detach().clone() for p in self.params]
            self.run(2)
            for p in self.params:
                p.grad = torch.zeros_like(p)
        else:
            self.run(2)
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        return {}

    def mm(self):
        """The step's products, one after the other, each on memory of its own."""
        if not hasattr(self, "mats"):
            self.mats = []
            for m, n, k, kind in products(self.size, self.batch):
                a = torch.randn(k, m).t() if kind == "wgrad" else torch.randn(m, k)
                b = torch.randn(n, k).t() if kind == "forward" else torch.randn(k, n)
                self.mats.append((a, b, torch.empty(m, n), 2.0 * m * n * k))
        with torch.no_grad():
            for a, b, c, _ in self.mats[:2]:
                torch.mm(a, b, out=c)
            begin = time.perf_counter()
            for a, b, c, _ in self.mats:
                torch.mm(a, b, out=c)
            seconds = time.perf_counter() - begin
        return {"rate": sum(w for *_, w in self.mats) / seconds}


def relative(x, reference):
    return ((x.double() - reference.double()).norm() / reference.double().norm()).item()


def main():
    size, batch, how, what, folder, threads = sys.argv[1:]
    side = Side(size, int(batch), how, what, folder, int(threads))
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "run":
            rest = [int(rest[0])]
        answer = getattr(side, word)(*rest)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
