"""The rate of oneDNN's sgemm on the products of a step: a process of its own, one rate per line of
its input.

    sgemm.py SIZE BATCH
"""
import array
import ctypes
import ctypes.util
import json
import random
import sys
import time

from shapes import products


def matrix(n):
    """n floats in -1..1, on pages of their own."""
    values = array.array("f", (random.uniform(-1, 1) for _ in range(65536)))
    data = (ctypes.c_float * n)()
    source = values.tobytes()
    for at in range(0, 4 * n, len(source)):
        ctypes.memmove(ctypes.addressof(data) + at, source, min(len(source), 4 * n - at))
    return data


def main():
    size, batch = sys.argv[1], int(sys.argv[2])
    library = ctypes.CDLL(ctypes.util.find_library("dnnl") or "libdnnl.so")
    one, zero, i64 = ctypes.c_float(1), ctypes.c_float(0), ctypes.c_int64
    calls, flops = [], 0.0
    for m, n, k, kind in products(size, batch):
        ta, tb = kind == "wgrad", kind == "forward"
        calls.append((ctypes.c_char(b"T" if ta else b"N"), ctypes.c_char(b"T" if tb else b"N"),
                      i64(m), i64(n), i64(k), one, matrix(m * k), i64(m if ta else k),
                      matrix(k * n), i64(k if tb else n), zero, matrix(m * n), i64(n)))
        flops += 2.0 * m * n * k
    for line in sys.stdin:
        for call in calls[:2]:
            library.dnnl_sgemm(*call)
        begin = time.perf_counter()
        for call in calls:
            if library.dnnl_sgemm(*call) != 0:
                sys.exit("dnnl_sgemm refused a product")
        print(json.dumps({"rate": flops / (time.perf_counter() - begin)}), flush=True)


if __name__ == "__main__":
    main()
