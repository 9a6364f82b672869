dfm 1
bloc f(x: [B, D]) -> [B, D] {
  return x
}
block g(x: [B]) -> [B] {
  retrun x
  parm w: f32[D]
  repat a[i: L] with x { x = x }
}
