dfm 1
const P = "C:\data"
