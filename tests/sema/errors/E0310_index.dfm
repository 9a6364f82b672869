dfm 1
dim P = 3000000000, Q = 8
model m(x: f32[P]) -> f32[P] {
  return x * 2
}
