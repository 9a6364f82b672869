dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  h = linear(x, D -> F)
  return linear(h, F -> D) as down
}
block mlp(x: [B, S, D]) -> [B, S, D] { return linear(x, D -> D) as fc }
block g(x: [B, S, D]) -> [B, S, D] { return mlp(x) }
