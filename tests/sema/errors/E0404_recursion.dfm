dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  return g(x)
}
block g(x: [B, S, D]) -> [B, S, D] { return f(x) }
