# attention takes four batch dims that are longer than 1
dfm 1
dim A = 2, B = 2, C = 3, E = 2, F = 2, G = 1, S = 4, D = 4
model m(x: f32[A, B, C, E, F, G, S, D]) -> f32[A, B, C, E, F, G, S, D] {
  return attend(x, x, x, seq=S)
}
