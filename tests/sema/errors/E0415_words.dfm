dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  y = (x + 1) as shifted
  z = silu(x) as act
  m = mean(x, D) as m
  return x
}
