dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [S, D] {
  return mean(x, S)
}
block g(x: [B, D]) -> [B, D] { return x }
block h(x: [B, S, D]) -> [B, S, D] { return g(x) }
