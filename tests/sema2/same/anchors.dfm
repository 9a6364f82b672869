# Products, windows and attention, built in and written as index expressions: all results are 0.
dfm 1
dim B = 2, S = 7, T = 5, H = 2, Dh = 4, D = 8, C = 3, Y = 6, X = 5, O = 4, Ky = 3, Kx = 2
dim Yo = (Y + 2 - Ky) // 2 + 1, Xo = (X + 2 - Kx) // 2 + 1, S2 = S
op conv_by_hand(x: [B, C, Y, X], w: [O, C, Ky, Kx]) -> [B, O, Yo, Xo] {
  p[b, c, y: 0..Y + 2, x_: 0..X + 2] = select(y > 0 and y <= Y and x_ > 0 and x_ <= X, x[b, c, y - 1, x_ - 1], 0)
  r[b, o, i, j] = sum[c, u, v](p[b, c, 2 * i + u, 2 * j + v] * w[o, c, u, v])
  return r
}
op attn_by_hand(q: [B, S, H, Dh], k: [B, S, H, Dh], v: [B, S, H, Dh], mode: const, scale: const) -> [B, S, H, Dh] {
  l[b, h, s, t: S] = sum[d](q[b, s, h, d] * k[b, t, h, d]) * scale
  if mode == "causal" { m[s: S, t: S] = t <= s }
  if mode == "window" { m[s: S, t: S] = s - t <= 2 and t - s <= 2 }
  if mode == "none" { m[s: S, t: S] = t >= 0 }
  z[b, h, s, t: S] = select(m[s, t], l[b, h, s, t], -1e30)
  mx[b, h, s] = max[t](z[b, h, s, t])
  e[b, h, s, t: S] = select(m[s, t], exp(z[b, h, s, t] - mx[b, h, s]), 0)
  y[b, s, h, d] = sum[t](e[b, h, s, t] * v[b, t, h, d]) / sum[t](e[b, h, s, t])
  return y
}
op attn_masked(q: [B, S, H, Dh], k: [B, T, H, Dh], v: [B, T, H, Dh], m: bool[B, T]) -> [B, S, H, Dh] {
  l[b, h, s, t] = sum[d](q[b, s, h, d] * k[b, t, h, d]) / sqrt(Dh)
  z[b, h, s, t] = select(m[b, t], l[b, h, s, t], -1e30)
  mx[b, h, s] = max[t](z[b, h, s, t])
  e[b, h, s, t] = select(m[b, t], exp(z[b, h, s, t] - mx[b, h, s]), 0)
  y[b, s, h, d] = sum[t](e[b, h, s, t] * v[b, t, h, d]) / sum[t](e[b, h, s, t])
  return y
}
op mk(n: i32[B]) -> bool[B, T] {
  m[b, t] = t <= n[b]
  return m
}
model net(x: f32[B, C, Y, X], w: f32[O, C, Ky, Kx], q: f32[B, S, H, Dh], k: f32[B, S, H, Dh], v: f32[B, S, H, Dh], k2: f32[B, T, H, Dh], v2: f32[B, T, H, Dh], n: i32[B])
   -> (a: f32[B, O, Yo, Xo], b: f32[B, S, H, Dh], c: f32[B, S, H, Dh], d: f32[B, S, H, Dh], e: f32[B, S, H, Dh], f: f32[B, S, H, Dh]) {
  a = conv(x, w, C, Y -> (Yo, Ky), X -> (Xo, Kx), stride=2, pad=1) - conv_by_hand(x, w)
  b = attend(q, k, v, seq=S, causal=true) - attn_by_hand(q, k, v, "causal", 0.5)
  c = attend(q, k, v, seq=S, window=2) - attn_by_hand(q, k, v, "window", 0.5)
  d = attend(q, k, v, seq=S, scale=0.2) - attn_by_hand(q, k, v, "none", 0.2)
  m = mk(n)
  e = attend(q, k2, v2, seq=S, over=T, mask=m) - attn_masked(q, k2, v2, m)
  f = attend(q, k, v, seq=S) - attn_by_hand(q, k, v, mode="none", scale=Dh ^ -0.5)
  return a, b, c, d, e, f
}
