# options: check
dfm 1
dim B = 2, D = 6
block never(x: [..., N], N: dim) -> [..., N] {
  return silu(x) * sofmax(x, N) + scal
}
model net(x: f32[B, D]) -> f32[B, D] {
  y = x
  if D == 7 {
    y = layer_nrm(x, D) * undefined_name
    z = sum(x, D) as q
    if B == 9 { y = y + z }
  } else {
    if D == 8 { w = y } else { y = y * 2 }
  }
  return y
}
