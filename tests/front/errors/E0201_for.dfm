dfm 1
dim B = 2, D = 8
block f(x: [B, D]) -> [B, D] {
  y x
  for i in range(3) { y = y + 1 }
  z = x
  for i in range(3) { y = y + 1 }
  z = x x
  for i in range(3)
  return x + (z
}
model m(x: [B, D]) -> [B, D] { return f(x) }
precision p
  for m {
  keep f32
    for norm
  compute = = bf16
}
