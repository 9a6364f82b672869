dfm 1
return x
block f(x: [B, D]) -> [B, D] {
  block g(x: [B]) -> [B] { return x }
  keep f32 for x
  return x
}
