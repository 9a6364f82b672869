dfm 1
dim B = 2, S = 16, D = 32, E = 32
block f(x: [B, S, D]) -> [B, S, D] {
  h = rename(x, D -> E)
  return x * h
}
