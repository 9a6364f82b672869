# position.dfm - tables of positions and rotary embeddings
dfm 1

## Sinusoids of a scalar, of width K: angles t / max_period^(i / (K / 2)), i < K / 2.
## order: "cos_sin" puts the cosines first (DiT, WAN), "sin_cos" the sines.
op sinusoid(t: f32[...], K: dim, max_period: const = 10000, order: const = "cos_sin")
    -> f32[..., K] {
  require K % 2 == 0, "sinusoid: the width must be even"
  half    = K // 2
  w[k: K] = exp(-log(max_period) * f32(k % half) / half)
  a[..., k] = t[...] * w[k]
  if order == "cos_sin" {
    y[..., k] = select(k < half, cos(a[..., k]), sin(a[..., k]))
  } else {
    if order != "sin_cos" { require false, "sinusoid: `order` is \"cos_sin\" or \"sin_cos\"" }
    y[..., k] = select(k < half, sin(a[..., k]), cos(a[..., k]))
  }
  return y
}

## Sines, then cosines, of 0 .. N - 1 times F / 2 frequencies theta^(-2 i / F).
op sincos_1d(N: dim, F: dim, theta: const = 10000) -> f32[N, F] {
  require F % 2 == 0, "sincos_1d: the width must be even"
  half    = F // 2
  w[f: F] = exp(-log(theta) * f32(f % half) / half)
  y[n, f] = select(f < half, sin(f32(n) * w[f]), cos(f32(n) * w[f]))
  return y
}

## Table of 2-D sinusoids as DiT has it: the first half of D encodes x (the column), the second
## half y (the row); each half is sines, then cosines, of D / 4 frequencies.
op sincos_2d(Gy: dim, Gx: dim, D: dim, theta: const = 10000) -> f32[Gy, Gx, D] {
  require D % 4 == 0, "sincos_2d: the width must be a multiple of 4"
  half = D // 2
  of_x = sincos_1d(Gx, half, theta)
  of_y = sincos_1d(Gy, half, theta)
  p[y, x, d] = select(d < half, of_x[x, d % half], of_y[y, d % half])
  return p
}

## Cosines and sines of 0 .. N - 1 times P frequencies theta^(-i / P): one axis of a grid.
op rope_axis(N: dim, P: dim, theta: const) -> (c: f32[N, P], s: f32[N, P]) {
  freq[p: P]    = exp(-log(theta) * f32(p) / P)
  a[n: N, p: P] = f32(n) * freq[p]
  c[n, p] = cos(a[n, p])
  s[n, p] = sin(a[n, p])
  return c, s
}

## Cosines and sines for tokens on a grid: [tokens, pairs of features], pairs of the axes in order.
op rope_table(S: dim, P: dim, grid: const, split: const, theta: const)
    -> (c: f32[S, P], s: f32[S, P]) {
  g0, g1, g2 = grid
  h0     = split[0] // 2
  h1     = h0 + split[1] // 2
  c0, s0 = rope_axis(g0, h0, theta)
  c1, s1 = rope_axis(g1, h1 - h0, theta)
  c2, s2 = rope_axis(g2, P - h1, theta)
  c[t, p] = select(p < h0, c0[t // (g1 * g2), p],
                   select(p < h1, c1[t // g2 % g1, p - h0], c2[t % g2, p - h1]))
  s[t, p] = select(p < h0, s0[t // (g1 * g2), p],
                   select(p < h1, s1[t // g2 % g1, p - h0], s2[t % g2, p - h1]))
  return c, s
}

## Rotary embedding of tokens on a grid, interleaved pairs: x is over tokens (the merged grid) and
## ends in the feature dim, of which the first split[0] belong to the first axis, and so on. Pair i
## of an axis of width w turns by position * theta^(-2 i / w).
op rope(x: any[..., S, F], grid: dim, split: const, theta: const = 10000.0,
        S: dim = merged(grid), F: dim = last_dim(x)) -> any[..., S, F] {
  require len(grid) == 3 and len(split) == 3, "rope: three axes: grid=(T, Gy, Gx), split=(t, y, x)"
  w0, w1, w2 = split
  require w0 + w1 + w2 == F, "rope: the widths of `split` must add up to the feature dim"
  require w0 % 2 == 0 and w1 % 2 == 0 and w2 % 2 == 0, "rope: the widths must be even"
  require w0 > 0 and w1 > 0 and w2 > 0, "rope: every axis needs a pair of features"
  c, n = rope_table(S, F // 2, grid, split, theta)
  # (x0, x1) -> (x0 c - x1 n, x1 c + x0 n): e is the place within the pair
  r[..., s, p, e: 0..2] = x[..., s, 2 * p + e] * c[s, p] +
      (2 * e - 1) * x[..., s, 2 * p + 1 - e] * n[s, p]
  y[..., s, f] = r[..., s, f // 2, f % 2]
  return y
}

## Rotary embedding by given positions: the feature dim is shared equally by the axes of pos.
op rope_nd(x: any[N, ..., F], pos: f32[N, A], theta: const = 10000.0, A: dim = last_dim(pos),
           N: dim = first_dim(pos), F: dim = last_dim(x)) -> any[N, ..., F] {
  require F % (2 * A) == 0, "rope_nd: the feature dim must be a multiple of twice the axes"
  half = F // A // 2
  freq[p: 0..F // 2] = exp(-log(theta) * f32(p % half) / half)
  turn[n, p] = pos[n, p // half] * freq[p]
  c[n, p]    = cos(turn[n, p])
  z[n, p]    = sin(turn[n, p])
  r[n, ..., p, e: 0..2] = x[n, ..., 2 * p + e] * c[n, p] +
      (2 * e - 1) * x[n, ..., 2 * p + 1 - e] * z[n, p]
  y[n, ..., f] = r[n, ..., f // 2, f % 2]
  return y
}
