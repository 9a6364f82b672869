# options: compile set=dim.T=14
dfm 1
dim T = dynamic(1..81), B = 2
require (T - 1) % 4 == 0, "frames come in fours, and one more"
dim Gt = (T - 1) / 4 + 1
model m(x: f32[B, T]) -> f32[B, T] { return x }
