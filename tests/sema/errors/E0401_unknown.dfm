dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D], scale: [B, D]) -> [B, S, D] {
  y = scal + 1
  return x * scale
}
block g(x: [B, Dx]) -> [B] { return x }
block h(x: f33[B]) -> [B] { return silu }
train t for nothing { }
block k(x: f16[B]) -> [B] { return x }
