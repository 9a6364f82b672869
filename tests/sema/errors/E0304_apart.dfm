# options: check
dfm 1
dim B = 2, T = 5
model m(n: i32[B]) -> bool[B, T] { return arange(T) <= n }
