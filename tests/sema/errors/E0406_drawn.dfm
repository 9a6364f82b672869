dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
model f(x: [B, S, D]) -> [B, S, D] {
  return x
}
train t for f {
  data x: f32[B, S, D] in webdataset("x.npy")
  n = normal([B, S, D])
  n = 2 * n
  minimize mean(f(x + n) ^ 2)
  use adamw(lr=1e-3)
}
