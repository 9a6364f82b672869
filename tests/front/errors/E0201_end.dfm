dfm 1
dim A = 
