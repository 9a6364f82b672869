"""DiT (Peebles & Xie, 2022) and its DDPM loss with learned variance, written for PyTorch.

The mathematics of models/dit.dfm, the way one writes it in PyTorch: nn.Linear, nn.LayerNorm,
F.scaled_dot_product_attention. Parameters carry the published names, so that one weights file fits
both sides. Shapes: B samples, S tokens, D hidden, C channels.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F

from shapes import SIZES


def sincos_2d(dim, grid):
    """[grid * grid, dim]: the columns' sines and cosines, then the rows'."""
    omega = 10000 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    row, col = torch.meshgrid(torch.arange(grid, dtype=torch.float64),
                              torch.arange(grid, dtype=torch.float64), indexing="ij")
    parts = []
    for place in (col, row):
        angle = place.reshape(-1, 1) * omega
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts, 1).float()


class TimestepEmbedder(nn.Module):
    def __init__(self, dim, width=256):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, dim), nn.SiLU(), nn.Linear(dim, dim))
        half = width // 2
        freqs = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half)
        self.register_buffer("freqs", freqs.float(), persistent=False)

    def forward(self, t):
        angle = t[:, None] * self.freqs
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1))


class LabelEmbedder(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, dim)

    def forward(self, y):
        return self.embedding_table(y)


class PatchEmbed(nn.Module):
    def __init__(self, channels, dim, patch):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, patch, stride=patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        B, S, D = x.shape
        q, k, v = self.qkv(x).view(B, S, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, S, D))


class Mlp(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(dim, 4 * dim)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 6 * dim))

    def forward(self, x, c):
        s1, k1, g1, s2, k2, g2 = self.adaLN_modulation(c).chunk(6, 1)
        x = x + g1.unsqueeze(1) * self.attn(modulate(self.norm1(x), s1, k1))
        return x + g2.unsqueeze(1) * self.mlp(modulate(self.norm2(x), s2, k2))


class FinalLayer(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.linear = nn.Linear(dim, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 2 * dim))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation(c).chunk(2, 1)
        return self.linear(modulate(self.norm(x), shift, scale))


class DiT(nn.Module):
    def __init__(self, dim, depth, heads, side=32, channels=4, patch=2, classes=1000):
        super().__init__()
        self.side, self.patch, self.out = side, patch, 2 * channels
        self.x_embedder = PatchEmbed(channels, dim, patch)
        self.t_embedder = TimestepEmbedder(dim)
        self.y_embedder = LabelEmbedder(dim, classes)
        self.register_buffer("pos", sincos_2d(dim, side // patch), persistent=False)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.final_layer = FinalLayer(dim, patch * patch * self.out)

    def forward(self, x, t, y):
        h = self.x_embedder(x) + self.pos
        c = self.t_embedder(t) + self.y_embedder(y)
        for block in self.blocks:
            h = block(h, c)
        g, p = self.side // self.patch, self.patch
        o = self.final_layer(h, c).view(-1, g, g, p, p, self.out)
        return o.permute(0, 5, 1, 3, 2, 4).reshape(-1, self.out, g * p, g * p)


class Ddpm(nn.Module):
    """The loss: noise prediction, and the variational bound for the variance (Nichol & Dhariwal
    2021), the discretised likelihood at step 0 in the form that loses no digits."""
    STEPS = 1000

    def __init__(self, model, classes=1000):
        super().__init__()
        self.model, self.classes = model, classes
        betas = torch.linspace(1e-4, 0.02, self.STEPS, dtype=torch.float64)
        abar = torch.cumprod(1 - betas, 0)
        prev = torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
        post = betas * (1 - prev) / (1 - abar)
        post[0] = post[1]
        tables = {
            "sqrt_abar": abar.sqrt(), "sqrt_rest": (1 - abar).sqrt(),
            "w0": betas * prev.sqrt() / (1 - abar), "wt": (1 - prev) * (1 - betas).sqrt() / (1 - abar),
            "least": post.log(), "most": betas.log(),
            "inv": (1 / abar).sqrt(), "inv_rest": (1 / abar - 1).sqrt(),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def at(self, table, t):
        return table[t].view(-1, 1, 1, 1)

    def bound(self, e, v, x0, xt, t):
        """Mean over the batch, in bits per element."""
        w0, wt = self.at(self.w0, t), self.at(self.wt, t)
        least, most = self.at(self.least, t), self.at(self.most, t)
        mean = w0 * (self.at(self.inv, t) * xt - self.at(self.inv_rest, t) * e) + wt * xt
        part = (v + 1) / 2
        log_var = part * most + (1 - part) * least
        true_mean = w0 * x0 + wt * xt
        kl = 0.5 * (log_var - least - 1 + (least - log_var).exp()
                    + (true_mean - mean) ** 2 * (-log_var).exp())
        likelihood = binned_normal_log(x0, mean, 0.5 * log_var)
        first = (t == 0).view(-1, 1, 1, 1)
        return torch.where(first, -likelihood, kl).mean() / math.log(2)

    def forward(self, x0, label, t, eps, drop):
        xt = self.at(self.sqrt_abar, t) * x0 + self.at(self.sqrt_rest, t) * eps
        y = torch.where(drop < 0.1, self.classes, label)
        e, v = self.model(xt, t.float(), y).chunk(2, 1)
        return F.mse_loss(e, eps) + self.bound(e.detach(), v, x0, xt, t)


def binned_normal_log(x, mean, log_std):
    """Log probability of bins of width 2/255, F(z) = sigmoid(2 sqrt(2/pi) (z + 0.044715 z^3))."""
    r, q = 2 * math.sqrt(2 / math.pi), 0.044715
    scale = (-log_std).exp()
    hi, lo = scale * (x - mean + 1 / 255), scale * (x - mean - 1 / 255)
    wide = r * (2 / 255) * scale * (1 + q * (hi * hi + hi * lo + lo * lo))
    below = -F.softplus(-r * (hi + q * hi ** 3))
    above = -F.softplus(r * (lo + q * lo ** 3))
    inside = torch.log(-torch.expm1(-wide)) + below + above
    y = torch.where(x < -0.999, below, torch.where(x > 0.999, above, inside))
    return y.clamp(min=math.log(1e-12))


def build(size, **other):
    dim, depth, heads = SIZES[size]
    return DiT(dim, depth, heads, **other)
