# Rows by number, pieces of dims, norms, said in two ways: all results are 0.
dfm 1
dim B = 2, S = 4, Y = 6, X = 5, D = 8, N = 5, V = 7, T = 3, Gy = 2, Gx = 2
dim H = 2, Dh = D // H, K = 4, B2 = B, F = 6, YX = Y * X
require S == Gy * Gx
op gath(t: [B, N, D], i: i32[B, K]) -> [B, K, D] {
  y[b, k, d] = sum[n](select(n == clamp5(i[b, k]), t[b, n, d], 0))
  return y
}
op clamp5(i: i32) -> i32 { 
  y = min(i, 4)
  return y
}
op scat(i: i32[B, K], x: [B, K, D]) -> [B, N, D] {
  y[b, n, d] = sum[k](select(n == min(i[b, k], 4), x[b, k, d], 0))
  return y
}
op am(x: [B, N, D]) -> i32[B, D] {
  y[b, d] = argmax[n](x[b, n, d])
  return y
}
block softcap(x: any[..., N], N: dim) -> any[..., N] { return x / sum(abs(x), N) }
op cum(x: [B, N, D]) -> [B, N, D] {
  y[b, n, d] = sum[m](select(m <= n, x[b, m, d], 0))
  return y
}
op triu(x: [B, N, D]) -> [B, N, D] {
  y[b, n, d] = sum[m: 0..N](select(m <= n and n - m < 3, x[b, n - m, d] * (n - m - n) * 1.0, 0.0)) + sum[m: 0..3](select(n - m >= 0, x[b, n - m, d] * m, 0))
  return y
}
op rot(x: [B, N, D]) -> [B, N, D] {
  y[b, n, d] = x[b, n, (d + D // 2) % D]
  return y
}
op gelu_(x: [...]) -> [...] {
  y[...] = 0.5 * x[...] * (1 + erf(x[...] / sqrt(2)))
  return y
}
model net(t: f32[B, N, D], i: i32[B, K], u: f32[B, K, D], y: f32[B, S, D])
   -> (a: f32[B, K, D], b: f32[B, N, D], c: i32[B, D], d: f32[B, N, D], e: f32[B, N, D], f: f32[B, N, D], g: f32[B, S, D], h: f32[B, N, D]) {
  dim Z = 2 * N
  a = gather(t, min(i, N - 1), N) - gath(t, i)
  b = scatter_add(min(i, N - 1), u, N, K) - scat(i, u)
  c = argmax(t, N) - am(t)
  z = concat(t, t, N -> Z)
  d = slice(z, Z -> N, 2..7) - concat(slice(t, N -> T, 2..5), slice(t, N -> H, 0..2), (T, H) -> N)
  e = rot(rot(t)) - t
  f = softmax(t, (N, D)) - exp(t - max(t)) / sum(exp(t - max(t, N, D)), N, D) * 0 - exp(t - max(t, N, D)) / sum(exp(t - max(t, N, D)), N, D)
  p = split(y, S -> (Gy, Gx), D -> (H, Dh))
  g = merge(p, (Gy, Gx) -> S, (H, Dh) -> D) - y
  h = gelu(t) - gelu_(t) + triu(t) * 0
  return a, b, c, d, e, f, g, h
}
