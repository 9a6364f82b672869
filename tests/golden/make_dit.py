#!/usr/bin/env python3
"""Make dit_*.safetensors with facebookresearch/DiT.

    python3 make_dit.py PATH_TO_DIT        (a checkout; needs torch, timm, safetensors)

Where the reference insists on f32 it is changed here, from outside, for the float64 run only:
the sinusoid of the time step, and `.float()` on table look-ups of the diffusion.

All limits are 1e-5. The reference's own f32 run misses it by far at t = 0, where it takes the
difference of two nearly equal values of the normal distribution function; with
log(F(a) - F(b)) written in softplus it errs by 1e-6 there. dit_first_steps is made of such steps.
"""
import math
import sys

import torch

from golden_common import draw, float_means_double, gradients, randomise, store

# name: (C, side, patch, D, H, L, F / D, classes, time steps, draws for the label dropout)
CONFIGS = {
    "dit_small": (4, 8, 2, 32, 2, 2, 4, 10, [700, 3, 410], [0.5, 0.9, 0.3]),
    "dit_odd": (3, 10, 2, 36, 3, 3, 4, 7, [999, 1, 0, 250, 37], [0.7, 0.02, 0.4, 0.1, 0.099]),
    "dit_patch4": (4, 12, 4, 48, 4, 1, 4, 5, [13, 780], [0.99, 0.2]),
    "dit_first_steps": (3, 12, 2, 24, 2, 1, 4, 3, [0, 0, 1, 0, 0, 0], [0.3, 0.8, 0.5, 0.01, 0.6, 0.2]),
    "dit_wide": (1, 8, 2, 96, 4, 1, 2, 10, [0, 620, 85, 333], [0.6, 0.3, 0.05, 0.8]),
}
DROP = 0.1


def timestep_embedding(t, dim, max_period=10000):
    """The reference's formula in float64."""
    half = dim // 2
    freqs = torch.exp(-math.log(max_period) * torch.arange(half, dtype=torch.float64) / half)
    args = t[:, None].double() * freqs[None]
    return torch.cat([torch.cos(args), torch.sin(args)], dim=-1)


def scale_of(name, p):
    """Everything of order one: activations, modulations, gates and gradients."""
    if name.startswith("t_embedder.mlp.0.weight"):
        return 0.06, 0.0
    if p.ndim == 1:
        return 0.1, 0.0
    if name.startswith("y_embedder"):
        return 0.5, 0.0
    return 0.8 / p[0].numel() ** 0.5, 0.0


def forward_and_loss(model, diffusion, given, dtype, classes):
    """out of the forward inputs; loss and gradients of the training inputs."""
    model = model.to(dtype)
    real = {k: v.to(dtype) for k, v in given.items() if v.is_floating_point()}
    out = model(real["forward.x"], real["forward.t"], given["forward.y"].long())
    y = torch.where(given["train.drop"] < DROP, classes, given["train.label"]).long()
    terms = diffusion.training_losses(model, real["train.x0"], given["train.t"].long(),
                                      {"y": y}, noise=real["train.eps"])
    loss = terms["loss"].mean()
    return {"out": out, "loss": loss.detach(), **gradients(model, loss)}


def make(name, reference_models, reference_diffusion):
    C, side, patch, D, H, L, ratio, classes, steps, drop = CONFIGS[name]
    g = torch.Generator().manual_seed(sum(name.encode()))
    model = reference_models.DiT(input_size=side, patch_size=patch, in_channels=C, hidden_size=D,
                                 depth=L, num_heads=H, mlp_ratio=ratio, num_classes=classes)
    model.eval()                 # labels are dropped by `drop`, not by the model's own draw
    randomise(model, g, scale_of)
    B = len(steps)
    given = {"w." + k: v.clone() for k, v in model.state_dict().items()}
    given |= {
        "forward.x": draw(g, B, C, side, side),
        "forward.t": torch.tensor(steps[::-1], dtype=torch.float32),
        "forward.y": torch.randint(0, classes + 1, (B,), generator=g, dtype=torch.int32),
        "train.x0": draw(g, B, C, side, side, scale=0.7),
        "train.label": torch.randint(0, classes, (B,), generator=g, dtype=torch.int32),
        "train.t": torch.tensor(steps, dtype=torch.int32),
        "train.eps": draw(g, B, C, side, side),
        "train.drop": torch.tensor(drop, dtype=torch.float32),
    }
    diffusion = reference_diffusion.create_diffusion(timestep_respacing="")
    runs = {"f32": forward_and_loss(model, diffusion, given, torch.float32, classes)}
    with torch.autocast("cpu", torch.bfloat16):
        runs["bf16"] = forward_and_loss(model, diffusion, given, torch.float32, classes)
    embedder = reference_models.TimestepEmbedder
    embedding_f32 = embedder.timestep_embedding
    embedder.timestep_embedding = staticmethod(timestep_embedding)
    with float_means_double():
        reference = forward_and_loss(model, diffusion, given, torch.float64, classes)
    embedder.timestep_embedding = staticmethod(embedding_f32)
    dims = dict(B=B, C=C, Co=2 * C, Y=side, X=side, Py=patch, Px=patch, D=D, H=H, L=L, F=ratio * D,
                NC=classes)
    facts = {"reference": "facebookresearch/DiT", "file": "models/dit.dfm", "train": "ddpm",
             "dims": dims}
    store(name, given, reference, runs, facts, strict=True)


def main():
    sys.path.insert(0, sys.argv[1])
    import diffusion
    import models

    for name in CONFIGS:
        make(name, models, diffusion)


if __name__ == "__main__":
    main()
