dfm 1
dim B = 2, D = 32, Z = D // 64
block f(x: [B, Z]) -> [B, Z] {
  return x
}
