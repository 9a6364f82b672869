dfm 1
variant "S/2" for m { D = 384; L = 12; train = flow; sampler = euler }
precision mixed for m {
  params = f32
  keep f32 for layer_norm, "out.*", a.b
}
weights hf for m {
  strict = true
  map "a.{i}" to "b.{i}"
  map "c" to "d" via reshape(1, 2)
  map "e" to "f" via squeeze
}
layout l for m where world % 8 == 0 {
  mesh dp=1, fsdp=auto
  shard B, S on dp, fsdp
  shard S on cp via ulysses() in attn, "x"
  pipeline blocks on pp via interleaved(chunks=3)
  recompute blocks
  recompute blocks saving attend, "ffn.0"
  bucket T, Y in [(1, 8), (2, 8)]
  use overlap(grad=true)
  require world > 1
}
variant "flat" for m {
train = flow
sampler = euler
}
