# A loss that bends within a step of 1e-6: differences agree with its gradient from 1e-7 on.
# inputs: seed 3
dfm 1
dim B = 1, D = 4
model m(x: f32[B, D], t: f32[B], y: i32[B]) -> f32[B, D] {
  param w: f32[D] init normal(std=0.3)
  return sin(2e5 * (x + w))
}
train fit for m {
  data x1: f32[B, D] in webdataset("image.npy")
  minimize mean(m(x1, 2, 0))
}
