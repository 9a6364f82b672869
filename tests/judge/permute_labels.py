#!/usr/bin/env python3
"""Copy the digits shard with permuted labels (standard library only).

    python3 permute_labels.py DIGITS.tar PERM OUT.tar

PERM is ten digits. A picture of the digit PERM[l] is labelled l in the copy, so a model that
was trained on the copy must draw PERM[l] when asked for l; `judge --permuted PERM` checks it.
"""
import io
import sys
import tarfile


def main():
    source, permutation, target = sys.argv[1:4]
    if sorted(permutation) != list("0123456789"):
        sys.exit("PERM must be ten different digits, for example 7890123456")
    with tarfile.open(source) as old, tarfile.open(
        target, mode="w", format=tarfile.USTAR_FORMAT
    ) as new:
        for info in old:
            data = old.extractfile(info).read()
            if info.name.endswith(".cls"):
                data = b"%d" % permutation.index(data.decode("ascii"))
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
