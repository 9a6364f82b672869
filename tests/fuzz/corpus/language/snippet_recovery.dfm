dfm 1
# one error in each statement: all are found, and the good ones in between are kept
dim A = , B = 2
block f(x: [B) -> [B] {
  y = x +
  z = (x * )
  ok = x
  if y = z { return x } else { return z }
  repeat r[i L] with x {
    x = x * * x
  }
  repeat r[i: L] with x {
    x = x x
    if x > 1 {
      y = f(,)
    }
  }
  return x,
}
train t for {
  use adamw(lr=)
}
precision p for m { params = 3; keep f32 layer_norm; compute = bf16; reduce f32 }
model m(x: [B]) -> [B] { return }
