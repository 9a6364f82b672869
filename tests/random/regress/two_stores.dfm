# random program 818
dfm 1
dim B = 2
dim S = 4
dim T = 1
dim E = 1
dim K = 2
dim L = 1
block order2(x: [B, S, K]) -> [B, S, K] { return x }
block order3(x: [S, K]) -> [S, K] { return x }
model m(x: f32[B, T, E], t: f32[B], y: i32[B]) -> (out: f32[B, T, E], aux: f32[B]) {
  repeat loop54[i53: L] with x {
    param p56: [K] init normal(std=0.02)
    param p59: f32[S] init normal(std=0.3)
    v61 = order2(p59)
    param p62: f32[S] init uniform(-0.5, 0.5)
    v63 = p56 * (1 + p62)
    v64 = order3(v63)
    v66 = linear(p59, K -> E, bias=false) as l65
    v69 = attend(v61, v64, v66, seq=S, causal=true)
    v73 = mean(v69, S)
    x = 0.5 * (x + v73)
  }
  return x, mean(x, T, E)
}
train fit for m {
  data x1: f32[B, T, E] in webdataset("image.npy")
  n = normal([B, T, E])
  r = m(1, 0, 0)
  minimize mean(n ^ 2) + 0.3 * mean(r.aux ^ 2)
}
