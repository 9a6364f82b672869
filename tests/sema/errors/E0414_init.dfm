dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  param a: f32[D]
  param b: f32[D] init zerros
  param c: f32[D] init normal
  param d: f32[D] init constant(1 / 0)
  return x * a * b * c * d
}
block none(x: [B]) -> [B] { return 2 * x }
block g(x: [B]) -> [B] { return none(x) as n init zeros }
