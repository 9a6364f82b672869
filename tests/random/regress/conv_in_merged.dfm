# A padded convolution of a picture that came as one dim: two guards bound one coordinate together.
dfm 1
dim B = 1, C = 1, Y = 201, X = 197, Co = 1
dim Ky = 3, Kx = 3, Yo = 101, Xo = 99, P = Y * X, Q = Yo * Xo
model m(x: f32[B, C, P]) -> f32[B, Co, Q] {
  param w: f32[Co, C, Ky, Kx] init normal(std=0.3)
  y = conv(split(x, P -> (Y, X)), w, C, Y -> (Yo, Ky), X -> (Xo, Kx), stride=2, pad=1)
  return merge(tanh(y), (Yo, Xo) -> Q)
}
train fit for m {
  data x1: f32[B, C, P] in webdataset("image.npy")
  r = m(x1)
  minimize mean(r ^ 2)
}
