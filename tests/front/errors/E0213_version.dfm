dfm 2
