dfm 1
dim B = 2, S = 16, D = 32
block f(x: [B, S, D]) -> [B, S, D] {
  y = x[B]
  t = (1, 2)
  z = t[2]
  return x
}
