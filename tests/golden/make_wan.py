#!/usr/bin/env python3
"""Make wan_*.safetensors with diffusers' WanTransformer3DModel.

    python3 make_wan.py        (needs torch, diffusers, safetensors)

The loss is that of `train flow` in models/wan_1_3b.dfm: logit-normal time from `g`, shifted;
the target is n - x1; text is dropped by `drop`. Inputs that the program may read as bf16 hold
values that bf16 can represent.

Where the reference insists on f32 it is changed here, from outside, for the float64 run only:
`.float()` around norms and modulation, the tables of the rotary embedding, and the sinusoid of
the time step. At times near 1000 one rounding of the time would move all gradients by some 1e-5.
"""
import math

import diffusers
import torch
from diffusers import WanTransformer3DModel
from diffusers.models import embeddings

from golden_common import draw, float_means_double, gradients, randomise, store

# name: (B, C, (T, Y, X), L, H, Dh, F, K, (Lt, Dt), draws for the text dropout, mean of g)
# Means of -4 and -2 put the times near 50 and 290: the smaller, the less f32 loses in the
# sinusoid, and the tighter are the limits.
CONFIGS = {
    "wan_small": (2, 4, (3, 6, 8), 2, 2, 24, 100, 64, (7, 20), [0.5, 0.9], -4.0),
    "wan_odd": (3, 3, (5, 4, 6), 3, 3, 16, 77, 32, (5, 12), [0.2, 0.03, 0.7], -2.0),
    "wan_still": (1, 2, (1, 4, 2), 1, 1, 10, 24, 256, (3, 6), [0.4], -4.0),
}
DROP = 0.1


def sinusoid(timesteps, embedding_dim, flip_sin_to_cos, downscale_freq_shift, scale=1):
    """diffusers' get_timestep_embedding in float64, for the one way in which WAN calls it."""
    assert flip_sin_to_cos and downscale_freq_shift == 0 and scale == 1
    half = embedding_dim // 2
    freqs = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half)
    args = timesteps[:, None].double() * freqs[None]
    return torch.cat([torch.cos(args), torch.sin(args)], dim=-1)


def scale_of(name, p):
    """Everything of order one; gains of norms around 1."""
    if ".norm" in name:
        return 0.2, 1.0 if name.endswith("weight") else 0.0
    if name.endswith("scale_shift_table"):
        return 0.3, 0.0
    if name.endswith("time_embedder.linear_1.weight"):
        return 1.0 / p.shape[1] ** 0.5, 0.0
    if p.ndim == 1:
        return 0.1, 0.0
    return 0.8 / p[0].numel() ** 0.5, 0.0


def forward_and_loss(model, given, dtype):
    x = {k: v.to(dtype) for k, v in given.items() if not k.startswith("w.")}
    (out,) = model(x["forward.x"], x["forward.t"], x["forward.text"], return_dict=False)
    wide = (-1, 1, 1, 1, 1)
    u = torch.sigmoid(x["train.g"])
    s = 3.0 * u / (1 + 2.0 * u)
    x1, n = x["train.x1"], x["train.n"]
    xt = (1 - s.view(wide)) * x1 + s.view(wide) * n
    text = torch.where((x["train.drop"] < DROP)[:, None, None], 0.0, x["train.text"])
    (v,) = model(xt, 1000 * s, text, return_dict=False)
    loss = ((v - (n - x1)) ** 2).mean()
    return {"out": out, "loss": loss.detach(), **gradients(model, loss)}


def build(config):
    B, C, grid, L, H, Dh, F, K, (Lt, Dt), drop, mean_g = config
    return WanTransformer3DModel(num_attention_heads=H, attention_head_dim=Dh, in_channels=C,
                                 out_channels=C, text_dim=Dt, freq_dim=K, ffn_dim=F,
                                 num_layers=L, rope_max_seq_len=64)


def make(name):
    B, C, grid, L, H, Dh, F, K, (Lt, Dt), drop, mean_g = CONFIGS[name]
    g = torch.Generator().manual_seed(sum(name.encode()))
    model = build(CONFIGS[name])
    randomise(model, g, scale_of)
    given = {"w." + k: v.clone() for k, v in model.state_dict().items()}
    bf16 = {
        "forward.x": draw(g, B, C, *grid),
        "forward.text": draw(g, B, Lt, Dt),
        "train.x1": draw(g, B, C, *grid),
        "train.text": draw(g, B, Lt, Dt),
    }
    given |= {k: v.bfloat16().float() for k, v in bf16.items()}
    given |= {
        "forward.t": torch.rand(B, generator=g) * (1000 if mean_g > -4 else 60),
        "train.n": draw(g, B, C, *grid),
        "train.g": draw(g, B, offset=mean_g, scale=0.3),
        "train.drop": torch.tensor(drop, dtype=torch.float32),
    }
    runs = {"f32": forward_and_loss(model, given, torch.float32)}
    with torch.autocast("cpu", torch.bfloat16):
        runs["bf16"] = forward_and_loss(model, given, torch.float32)
    with float_means_double():
        model = build(CONFIGS[name]).double()       # tables of the rotary embedding in float64
        model.load_state_dict({k[2:]: v.double() for k, v in given.items() if k[:2] == "w."})
        assert model.rope.freqs_cos.dtype == torch.float64
        embeddings.get_timestep_embedding, original = sinusoid, embeddings.get_timestep_embedding
        reference = forward_and_loss(model, given, torch.float64)
        embeddings.get_timestep_embedding = original
    T, Y, X = grid
    dims = dict(B=B, C=C, T=T, Y=Y, X=X, L=L, H=H, D=H * Dh, F=F, K=K, Lt=Lt, Dt=Dt)
    facts = {"reference": "diffusers %s WanTransformer3DModel" % diffusers.__version__,
             "file": "models/wan_1_3b.dfm", "train": "flow", "dims": dims}
    store(name, given, reference, runs, facts, strict=False)


if __name__ == "__main__":
    for config_name in CONFIGS:
        make(config_name)
