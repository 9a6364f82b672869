# position.dfm - tables of positions and rotary embeddings
dfm 1

## Sinusoids of a scalar, of width K: angles t / max_period^(i / (K / 2)), i < K / 2.
## order: "cos_sin" puts the cosines first (DiT, WAN), "sin_cos" the sines.
op sinusoid(t: f32[...], K: dim, max_period: const = 10000, order: const = "cos_sin")
    -> f32[..., K] {
  require K % 2 == 0, "sinusoid: the width must be even"
  half = K // 2
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

## Table of 2-D sinusoids as DiT has it: the first half of D encodes x (the column), the second
## half y (the row); each half is sines, then cosines, of D / 4 frequencies.
op sincos_2d(Gy: dim, Gx: dim, D: dim, theta: const = 10000) -> f32[Gy, Gx, D] {
  require D % 4 == 0, "sincos_2d: the width must be a multiple of 4"
  q = D // 4
  w[d: D] = exp(-log(theta) * f32(d % q) / q)
  a[y: Gy, x: Gx, d: D] = f32(select(d < 2 * q, x, y)) * w[d]
  p[y, x, d] = select(d % (2 * q) < q, sin(a[y, x, d]), cos(a[y, x, d]))
  return p
}

## Rotary embedding of tokens on a grid, interleaved pairs: x is over tokens (the merged grid) and
## ends in the feature dim, of which the first split[0] belong to the first axis, and so on. Pair i
## of an axis of width w turns by position * theta^(-2 i / w).
op rope(x: any[..., S, F], grid: dim, split: const, theta: const = 10000.0,
        S: dim = merged(grid), F: dim = last_dim(x)) -> any[..., S, F] {
  require len(grid) == 3 and len(split) == 3, "rope: three axes: grid=(T, Gy, Gx), split=(t, y, x)"
  g0, g1, g2 = grid
  w0, w1, w2 = split
  require w0 + w1 + w2 == F, "rope: the widths of `split` must add up to the feature dim"
  require w0 % 2 == 0 and w1 % 2 == 0 and w2 % 2 == 0, "rope: the widths must be even"
  h0 = w0 // 2
  h1 = h0 + w1 // 2
  # of pair p: the axis' width, the first pair of the axis, the frequency
  wide[p: 0..F // 2] = select(p < h0, w0, select(p < h1, w1, w2))
  first[p: 0..F // 2] = select(p < h0, 0, select(p < h1, h0, h1))
  freq[p: 0..F // 2] = exp(-log(theta) * 2 * f32(p - first[p]) / f32(wide[p]))
  at[s: S, p: 0..F // 2] = select(p < h0, s // (g1 * g2), select(p < h1, s // g2 % g1, s % g2))
  turn[s, p] = f32(at[s, p]) * freq[p]
  c[s, p] = cos(turn[s, p])
  n[s, p] = sin(turn[s, p])
  # (x0, x1) -> (x0 c - x1 n, x1 c + x0 n): e is the place within the pair
  r[..., s, p, e: 0..2] = x[..., s, 2 * p + e] * c[s, p] + (2 * e - 1) * x[..., s, 2 * p + 1 - e] * n[s, p]
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
  c[n, p] = cos(turn[n, p])
  z[n, p] = sin(turn[n, p])
  r[n, ..., p, e: 0..2] = x[n, ..., 2 * p + e] * c[n, p] + (2 * e - 1) * x[n, ..., 2 * p + 1 - e] * z[n, p]
  y[n, ..., f] = r[n, ..., f // 2, f % 2]
  return y
}
