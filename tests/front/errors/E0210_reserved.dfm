dfm 1
block f(x: [B, D]) -> [B, D] {
  y = linear(x, D -> F) as in
  in = x
  map = y
  q = f(in=3)
  return x.op
}
