# A carry put together from attention's gradients, and read as the gradient of p too.
dfm 1
dim B = 2, S = 5, D = 4, D2 = 2 * D, D3 = 3 * D, L = 3
model m(x: f32[B, S, D3]) -> f32[B, S, D3] {
  repeat layers[i: L] with x {
    param p: f32[B, S, D3] init normal(std=0.3)
    param r: f32[B, S, D] init normal(std=0.3)
    param u: f32[B, S, D] init normal(std=0.3)
    xx = x + p
    q = slice(xx, D3 -> D, 0..4)
    k = slice(xx, D3 -> D, 4..8)
    v = slice(xx, D3 -> D, 8..12)
    a = attend(q, k, v, seq=S)
    h = concat(a, tanh(r), D -> D2)
    x = concat(h, tanh(u), (D2, D) -> D3)
  }
  return x
}
train fit for m {
  data x1: f32[B, S, D3] in webdataset("image.npy")
  r = m(x1)
  minimize mean(r ^ 2)
}
