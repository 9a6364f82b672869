dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  a = layer_norm(x)
  b = layer_norm(x, D, epz=1)
  c = silu(x, x)
  d = mean()
  e = layer_norm(x, D, N=D)
  g = attend(x, x, x)
  h = select(x > 0, x)
  return x
}
