# a comment at the start
dfm 1

a 1 1_000 1.5 1e-4 2.5E+3 80GiB 1.5kB 30s 250ms 2h
"text" "a\n\"b\"\x41\101" "{i}" ""
+ - * / // % ^ == != < > <= >= = .. ... . , : ->
0..C
a.b ( [ ] ) # behind
true false not and or
