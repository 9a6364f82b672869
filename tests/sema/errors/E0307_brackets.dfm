# options: check
dfm 1
dim T = dynamic(1..81, 13), B = 2, Gt = (T - 1) / (B + 2)
model m(x: f32[B, T]) -> f32[B, T] { return x }
