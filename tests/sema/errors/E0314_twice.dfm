dfm 1
dim B = 8, S = 16, D = 32, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  p = split(x, D -> (H, B))
  return x
}
block g(x: [B, B]) -> [B] {
  return x
}
