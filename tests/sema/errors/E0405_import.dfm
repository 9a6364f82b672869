dfm 1
import "missing.dfm"
import "/etc/passwd"
import "_circle_a.dfm"
