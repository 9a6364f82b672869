dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
model f(x: [B, S, D]) -> [B, S, D] {
  buffer t: f32[B, S, D] = 2 * x
  return x + t
}
