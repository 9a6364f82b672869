dfm 1
dim B = 4, D = 16
model m(x: f32[B, D]) -> f32[B, D] {
  return f(x)
}
block f(x: [B, D]) -> [B, D] {
  return f(x)
}
