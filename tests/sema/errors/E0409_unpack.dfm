dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  m = linear(x, D -> (H, D)) as m
  a, b = unstack(m, H)
  c, d = x
  return x
}
block g(x: [B]) -> (a: [B], b: [B]) { return x }
