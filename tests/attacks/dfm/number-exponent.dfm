dfm 1
dim B = 4, D = 16
model m(x: f32[B, D]) -> f32[B, D] {
  return x * 1e999999999
}
