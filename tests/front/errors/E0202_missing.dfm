dim A = 4
