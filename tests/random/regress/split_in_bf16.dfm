# A long sum of bf16 in two stages: the sums of the parts are large and cancel, and are not rounded.
dfm 1
dim B = 2, D = 32768
model m(x: f32[B, D]) -> f32[B] {
  return sum(bf16(x + f32(arange(D) // (D // 2) * 6 - 3)), D)
}
