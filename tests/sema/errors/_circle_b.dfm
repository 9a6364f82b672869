dfm 1
import "_circle_a.dfm"
