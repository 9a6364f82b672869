dfm 1
block f(x: [B, D]) -> [B, D] {
  y = f(x]
  return y)
}
}
