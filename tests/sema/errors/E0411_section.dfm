dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
model f(x: [B, S, D]) -> [B, S, D] {
  return x
}
train t for f {
  data x: f32[B, S, D] in webdataset("x.npy")
  param w: f32[D] init zeros
  h = linear(x, D -> F) as h
  minimize mean(f(x) ^ 2) + mean(h)
  use adamw(lr=1e-3)
}
