# comment
dim A = 1
dfm 1
