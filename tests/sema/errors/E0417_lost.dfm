dfm 1
dim B = dynamic(1..64), S = 16, D = 32
block f(x: [B, S, D]) -> [B, S, D] {
  h = x
  g = x
  repeat l[i: 3] with g {
    h = 2 * h
    g = g + h
  }
  return h
}
