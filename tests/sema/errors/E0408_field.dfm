dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  y = pair(x)
  z = y.hihg
  w = y.low + x.low
  return x
}
block pair(x: [B, S, D]) -> (low: [B, S, D], high: [B, S, D]) { return x, 2 * x }
