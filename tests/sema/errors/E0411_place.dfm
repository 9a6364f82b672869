dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  minimize mean(x)
  data y: f32[B] in webdataset("y.npy")
  q = sum[d](x)
  y[b] = x
  repeat l[i: 2] with x { return x }
  return x
  z = x
}
