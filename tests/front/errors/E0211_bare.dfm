dfm 1
block f(x: [B, D]) -> [B, D] {
  silu(x)
  x
  return
}
