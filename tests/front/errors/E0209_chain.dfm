dfm 1
require 0 < D < 4096
