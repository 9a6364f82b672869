dfm 1
import "_circle_b.dfm"
