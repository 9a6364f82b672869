dfm 1
const A = "ÿ"
