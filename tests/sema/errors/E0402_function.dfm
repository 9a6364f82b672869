dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  y = layernorm(x, D)
  z = y(3)
  w = layer_nrm(x, D)
  return x
}
