# attention.dfm - one attention and little else, for compare.py: q, k and v are parts of one
# projection, as in most models; the widths C and O around it are tiny.
#   dfmc benchmarks/attention/attention.dfm --set dim.B=8 --set dim.S=256 --set dim.H=6 --set dim.Dh=64
dfm 1

dim B = dynamic(1..1024, 8), S = 256, H = 6, Dh = 64, QKV = 3, C = 1, O = 1

model one(x: f32[B, S, C]) -> f32[B, S, O] {
  q, k, v = unstack(linear(x, C -> (QKV, H, Dh)) as qkv init normal(std=1.0), QKV)
  return linear(attend(q, k, v, seq=S), (H, Dh) -> O) as out
}

train plain for one {
  data x: f32[B, S, C] in webdataset("x.npy", path="unused.tar")
  minimize mean(one(x) ^ 2)
  use adamw(lr=1e-6)
}
