# bf16 around a product in f32, whose order of sums is free, and steps that multiply its rounding by 1e5.
# inputs: seed 1
dfm 1
dim B = 1, D = 100, F = 40, L = 20
block wander(x: [B, D], w: [D, F]) -> [B, F] {
  c = 0.5 + 0.3 * sin(contract(x, w, D))
  repeat step[i: L] with c {
    c = 3.9 * c * (1 - c)
  }
  return c
}
model m(x: f32[B, D], t: f32[B], y: i32[B]) -> f32[B, D] {
  param w: f32[D, F] init normal(std=0.3)
  return x * t + mean(wander(x, w), F)
}
train fit for m {
  data x1: f32[B, D] in webdataset("image.npy")
  minimize mean(m(x1, 2, 0) ^ 2)
}
precision low for m {
  params = f32; compute = bf16; reduce = f32; optim = f32
  keep f32 for wander
}
