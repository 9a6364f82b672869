dfm 1
const A = 80Gib
const B = 3parsec
