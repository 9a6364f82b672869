dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  m = mean(x, F)
  u, v = unstack(x, H)
  c = contract(x, x, F)
  return x
}
