# options: variant=odd
dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
model m(x: [B, D]) -> [B, D] { return x }
variant "odd" for m { D = 33 }
require D % H == 0
