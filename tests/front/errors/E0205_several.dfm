dfm 1
block f(x: [B, D]) -> [B, D] {
  y = silu(linear(x[1, D -> F) as up
  return y
}
dim Q = (3
