# options: compile set=dim.B=4
dfm 1
dim B = dynamic(1..64), D = 4
dim N = ragged(B, max=64)
model m(x: [N, D]) -> [N, D] { return x }
