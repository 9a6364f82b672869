dfm 1
dfm 1
