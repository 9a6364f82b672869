dfm 1
import "import-circle-1.dfm" as a
