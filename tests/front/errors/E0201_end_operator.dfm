dfm 1
dim A = 3 +