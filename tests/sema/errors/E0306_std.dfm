dfm 1
dim B = dynamic(1..64), D = 33
block f(x: f32[B]) -> f32[B, D] { return sinusoid(x, D) }
block g(x: f32[B]) -> f32[B] { return gelu(x, approx="tan") }
