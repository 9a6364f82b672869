dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  y = i32(x)
  b = x > 0
  c = b + 1
  d = select(x, x, 0)
  return not x
}
