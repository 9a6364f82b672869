dfm 1
block f(x: [B, D]) -> [B, D] {
  y = linear(x, D ->) as fc
  return y
}
