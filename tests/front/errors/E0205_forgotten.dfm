dfm 1
block f(x: [B, D]) -> [B, D] {
  y = silu(linear(x, D -> F) as up
  return y
}
dim Q = 3
