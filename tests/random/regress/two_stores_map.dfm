# random program 1156
dfm 1
dim B = 1
dim T = 1
dim D = 2
dim H = 1
dim K = 1
dim HK = H * K
dim L = 1
model m(x: f32[B, HK, T], t: f32[B], y: i32[B]) -> f32[B, HK, T] {
  v12 = linear(x, T -> D, bias=false) as l11
  repeat loop60[i59: L] with v12 {
    v75 = linear(0, D -> HK) as l74
    v12 = v12 + 0.5 * tanh(v75)
  }
  t90 = mean(v12, D)
  return t90
}
train fit for m {
  data x1: f32[B, HK, T] in webdataset("image.npy")
  r = m(x1, 2 * 0 + f32(0), 0)
  minimize mean(r ^ 2)
}
