# norm_modulate.dfm - the norms, modulations, gates and residuals of a DiT block around two small
# products: buffers larger than most caches, for norm_modulate.py.
dfm 1

dim B = 48, S = 256, D = 384
const EPS = 1e-6

block norm(x: f32[B, S, D]) -> f32[B, S, D] {
  c = x - mean(x, D)
  return c / sqrt(mean(c ^ 2, D) + EPS)
}

block modulate(x: f32[B, S, D], shift: f32[B, D], scale: f32[B, D]) -> f32[B, S, D] {
  return x * (1 + scale) + shift
}

model one(x: f32[B, S, D], s1: f32[B, D], k1: f32[B, D], g1: f32[B, D], s2: f32[B, D],
          k2: f32[B, D]) -> f32[B, S, D] {
  h = linear(x, D -> D) as before
  h = h + g1 * (linear(modulate(norm(h), s1, k1), D -> D) as middle)
  return linear(modulate(norm(h), s2, k2), D -> D) as after
}

train square for one {
  data x: f32[B, S, D] in webdataset("x.npy")
  data s1: f32[B, D] in webdataset("s1.npy")
  data k1: f32[B, D] in webdataset("k1.npy")
  data g1: f32[B, D] in webdataset("g1.npy")
  data s2: f32[B, D] in webdataset("s2.npy")
  data k2: f32[B, D] in webdataset("k2.npy")
  minimize mean(one(x, s1, k1, g1, s2, k2) ^ 2)
  use adamw(lr=1e-3)
}
