# The product's result and another operand of its epilogue in one stack.
# inputs: seed 100888 x86-64-v3
dfm 1
dim B = 2
dim T = 1
dim D = 3
dim E = 6
dim H = 3
dim K = 7
dim HK = H * K
dim SG = 1
dim L = 1
dim N20 = 1
dim N24 = 1
op op0(x: f32[B, D], lim: const) -> f32[B, D] {
  return lim
} vjp (dx) {
  dx[a, b] = 1
}
block order1(x: [H, T, K]) -> [H, T, K] { return x }
block order2(x: [B, H, SG, K]) -> [B, H, SG, K] { return x }
block order3(x: [B, H, SG, E]) -> [B, H, SG, E] { return x }
model m(x: f32[B, D], t: f32[B], lim: i32[B]) -> f32[B, D] {
  v4 = op0(x, 3.5)
  repeat loop8[i7: L] with t {
  }
  v18 = order1(N20)
  v23 = order2(N20)
  v28 = order3(N20)
  v29 = attend(v18, v23, v28, seq=T, over=SG, scale=0.6)
  repeat layers51[i50: L] with N20 {
  }
  v104 = slice(v29, T -> N24, 0..1)
  v106 = linear(v104, E -> D, bias=false) as l105
  v108 = linear(v106, N24 -> T) as l107
  v109 = mean(v108, H)
  v111 = linear(v109, T -> E, bias=false) as l110
  repeat layers115[i114: L] with v109 {
    v116 = sum(v111, D)
    v120 = linear(v116, E -> D) as l119 init normal(std=0.1)
    v121 = rms_norm(v109, D, eps=0.02) + v120
    v123 = linear(v121, D -> HK) as up122
    v127 = linear(v123, HK -> D) as down126
    v109 = v127
  }
  t130 = mean(v109, T)
  return t130
}
train fit for m {
  data x1: f32[B, D] in webdataset("image.npy")
  r = m(x1, 0, 0)
  minimize mean(r ^ 2)
}
precision low for m {
  params = f32; compute = bf16; reduce = f32; optim = f32
}
