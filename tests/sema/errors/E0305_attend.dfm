dfm 1
dim B = dynamic(1..64), S = 16, T = 8, H = 3, K = 4
block g(q: [B, S, K], k: [B, T, K], v: [B, T, S]) -> [B, S] {
  return attend(q, k, v, seq=S, over=T)
}
model m(q: f32[B, H, S, K], k: f32[B, H, T, K], v: f32[B, T, H], w: f32[B, T, S]) -> f32[B, S] {
  a = attend(q, k, v, seq=S, over=T)
  return attend(mean(q, H), mean(k, H), w, seq=S, over=T)
}
