dfm 1
dim B = 4, D = 4 // (2 - 2)
model m(x: f32[B, D]) -> f32[B, D] {
  return x
}
