# novel_block.dfm - one motion_mix block of models/novel.dfm, forward and gradient, for comparison
# with the same block in PyTorch (novel_block.py). `pos` makes the gradient reach the input.
dfm 1

dim B = 8, T = 8, N = 256, D = 384, R = 16

op motion_gate(x: [B, T, N, D], w: f32[D], a: f32[D]) -> [B, T, N, D] {
  prev[b, t, n, d] = select(t > 0, x[b, max(t - 1, 0), n, d], x[b, t, n, d])
  g[b, t, n]    = sigmoid(sum[d](w[d] * (x[b, t, n, d] - prev[b, t, n, d])))
  y[b, t, n, d] = x[b, t, n, d] + a[d] * g[b, t, n] * (x[b, t, n, d] - prev[b, t, n, d])
  return y
}

op energy_weight(x: [B, T, N, D], tau: f32) -> f32[B, N, D] {
  e[b, n, d] = mean[t](f32(x[b, t, n, d]) ^ 2)
  m[b, n]    = max[d](e[b, n, d] / tau)
  p[b, n, d] = exp(e[b, n, d] / tau - m[b, n])
  z[b, n]    = sum[d](p[b, n, d])
  w[b, n, d] = D * p[b, n, d] / z[b, n]
  return w
}

op softclip(x: [..., D], lim: f32) -> [..., D] {
  y[..., d] = lim * tanh(x[..., d] / lim)
  return y
} vjp (dx) {
  dx[..., d] = dy[..., d] * (1 - (y[..., d] / lim) ^ 2)
}

block motion_mix(x: [B, T, N, D], c: [B, D]) -> [B, T, N, D] {
  param w: f32[D] init normal(std=0.02)
  param a: f32[D] init zeros tag no_decay
  param tau: f32[] init constant(1.0) tag no_decay
  h    = motion_gate(rms_norm(x, D) as norm, w, a)
  h    = h * energy_weight(h, softplus(tau))
  gate = linear(silu(c), D -> D) as gate init zeros
  down = linear(softclip(h, 30.0), D -> R) as down
  return x + gate * (linear(silu(down), R -> D) as up)
}

model one(x: f32[B, T, N, D], c: f32[B, D]) -> f32[B, T, N, D] {
  param pos: f32[T, N, D] init normal(std=0.02) tag no_decay
  return motion_mix(x + pos, c) as self
}

train square for one {
  data x: f32[B, T, N, D] in webdataset("x.npy")
  data c: f32[B, D] in webdataset("c.npy")
  minimize mean(one(x, c) ^ 2)
  use adamw(lr=1e-3)
}
