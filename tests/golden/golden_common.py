"""What the scripts that make goldens share: drawing weights, running twice, writing files.

A reference is computed in float64 from weights and inputs that are exactly representable in
float32. The same is then run in float32 and, by autocast, in bfloat16; the errors of those runs
and the limits that follow from them go beside the golden.
"""
import contextlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
FLOOR = {"f32": 1e-5, "bf16": 2e-2}


@contextlib.contextmanager
def float_means_double():
    """Inside, Tensor.float() gives float64: references call it to compute in f32."""
    original = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = original


def draw(generator, *shape, scale=1.0, offset=0.0):
    """Normal numbers that are exact in f32."""
    return torch.randn(*shape, generator=generator, dtype=torch.float32) * scale + offset


def randomise(model, generator, scale_of):
    """Replace every parameter, so that no gradient is zero because a weight is."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                scale, offset = scale_of(name, p)
                p.copy_(draw(generator, *p.shape, scale=scale, offset=offset))


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    named = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    for name, g in named.items():
        assert g is not None and g.abs().max() > 0, "no gradient reaches " + name
    return {"grad." + n: g.detach().clone() for n, g in named.items()}


def relative_error(x, reference):
    return ((x.double() - reference).norm() / reference.norm()).item()


def store(name, given, reference, runs, facts, strict):
    """Write NAME.safetensors (given + reference) and NAME.json (facts, errors, limits).

    `runs` are the results in "f32" and "bf16". The limit of a tensor is 1e-5 and 2e-2 or, unless
    strict, three times the error of the reference's own run where that is larger.
    """
    for key, value in reference.items():
        assert value.dtype == torch.float64, key + " was not computed in float64"
    tensors = {k: v.detach().contiguous().clone() for k, v in given.items()}
    tensors |= {k: v.float().contiguous() for k, v in reference.items()}
    path = HERE / (name + ".safetensors")
    save_file(tensors, path)
    path.chmod(0o644)
    sidecar = dict(facts)
    sidecar["torch"] = torch.__version__.split("+")[0]
    factor = 0 if strict else 3
    for kind, result in runs.items():
        error = {k: relative_error(result[k], v) for k, v in reference.items()}
        limit = {k: max(FLOOR[kind], factor * e) for k, e in error.items()}
        sidecar["error_" + kind] = {k: float("%.3g" % e) for k, e in error.items()}
        sidecar["limit_" + kind] = {k: float("%.3g" % e) for k, e in limit.items()}
        worst = sorted(error.items(), key=lambda item: -item[1])[:3]
        print(name, kind, "errs most in", [(k, "%.1e" % e) for k, e in worst])
    (HERE / (name + ".json")).write_text(json.dumps(sidecar, indent=1) + "\n")
    print(name, path.stat().st_size, "bytes")
