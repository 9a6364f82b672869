dfm 1
dim B = 2, D = 8
block f(x: [B, D]) -> [B, D] {
  x += 1
  y = x[:, 0]
  for i in range(3) { y = y + 1 }
  z = where(x > 0, x, 0)
  z = softmax(z, dim=-1)
  return x
}
