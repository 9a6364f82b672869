dfm 1
block f(x: [B]) -> [B] {
  y = x @ x
  return y
}
