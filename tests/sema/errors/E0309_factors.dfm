dfm 1
dim B = 2, Gy = 2, Gx = 3, S = 6, D = 4
block f(x: [B, S, D]) -> [B, S, D] {
  p = split(x, S -> (Gy, Gx))
  return merge(p, (Gx, Gy) -> S)
}
