# what people write who come from elsewhere: each gets a word of help
dfm 1
dim B = 2, S = 6, D = 8, H = 2, Dh = 4
model m(x: f32[B, S, D], t: f32[B]) -> f32[B, S, D] {
  a = transpose(x, S, D)
  b = reshape(x, (B, S, H, Dh))
  c = x.shape
  d = dropout(x, 0.1)
  e = mean(x, d)
  f = mean(x, Dh)
  param w: f32[D] init kaiming
  if t > 0 { g = x }
  return Linear(x, D) as q
}
