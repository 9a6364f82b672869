#!/bin/sh
# run.sh [S/2|B/2|sample|bf16|all] [--rounds N] ...: compare with PyTorch; PYTHON chooses the interpreter
exec "${PYTHON:-python3}" "$(dirname "$0")/compare.py" "$@"
