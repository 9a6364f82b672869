# Attention over one key: the gradient of query and key is 0 as the difference of two equal sums.
# inputs: seed 431450 x86-64-v3 quick
dfm 1
dim B = 1, S = 1, T = 1, E = 3, H = 1, K = 1
block query(x: [B, T, K]) -> [B, T, K] { return x }
block value(x: [B, T, E]) -> [B, T, E] { return x }
model m(x: f32[B, S, H, K], t: f32[B], y: i32[B]) -> f32[B, S, H, K] {
  param p: f32[K] init normal(std=0.3)
  a = attend(query(p), query(p), value(1), seq=T)
  return mean(a, T, E)
}
train fit for m {
  data x1: f32[B, S, H, K] in webdataset("image.npy")
  r = m(x1, 2, 0)
  minimize mean(r ^ 2)
}
