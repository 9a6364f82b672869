dfm 1
dim B = 4000000000, D = 4000000000
model m(x: f32[B, D]) -> f32[B, D] {
  return x
}
