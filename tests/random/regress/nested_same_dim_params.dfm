dfm 1
dim B = 2, D = 3, L = 2
block inner(x: [B, D]) -> [B, D] {
  repeat deep[j: L] with x {
    param w: f32[L, D] init ones
    x = x + 0.5 * tanh(linear(x, D -> D) as l) * mean(w, L) + 0.1 * mean(linear(x, D -> L) as k)
  }
  return x
}
model m(x: f32[B, D], t: f32[B], y: i32[B]) -> f32[B, D] {
  repeat blocks[i: L] with x { x = inner(x) as self }
  return x
}
train fit for m {
  data x1: f32[B, D] in webdataset("image.npy")
  data label: i32[B] in webdataset("cls")
  r = m(x1, 0, label)
  minimize mean(r ^ 2)
  use adamw(lr=1e-3)
}
