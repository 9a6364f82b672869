dfm 1
model m(x: f32[4]) -> f32[4] {
  return x
}
