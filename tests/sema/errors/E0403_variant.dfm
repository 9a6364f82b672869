# options: variant=smal
dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
model m(x: [B, D]) -> [B, D] { return x }
variant "small" for m { D = 8 }
