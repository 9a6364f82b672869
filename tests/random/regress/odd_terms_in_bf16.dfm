# 63 terms of 33 rows in bf16, which oneDNN multiplies by an illegal instruction where there is AMX.
dfm 1
dim B = 1, S = 33, D = 63, E = 6
model m(x: f32[B, S, D]) -> f32[B, S, E] {
  return linear(x, D -> E) as l
}
train fit for m {
  data x1: f32[B, S, D] in webdataset("image.npy")
  r = m(x1)
  minimize mean(r ^ 2)
}
precision low for m {
  params = f32; compute = bf16; reduce = f32; optim = f32
}
