#!/usr/bin/env python3
"""Write digits.tar: the 1,797 handwritten digits of UCI as a WebDataset shard.

    python3 make_digits.py [OUT.tar]           (needs scikit-learn, which carries the data)

Each sample has two members, named by its position in the data set:

    NNNNN.cls         its digit, ASCII
    NNNNN.image.npy   f32 [1, 8, 8], C order, npy version 1.0; pixel / 8 - 1, so in [-1, 1]

Members are sorted by name and carry no time, owner or host, so the bytes depend on the
pixels alone. The result is committed; its SHA-256 is printed.
"""
import hashlib
import io
import struct
import sys
import tarfile
from pathlib import Path


def npy_bytes(shape, values):
    """A little-endian f32 array in the npy format, version 1.0, header padded to 64 bytes."""
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': %r, }" % (tuple(shape),)
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")
    return head + struct.pack("<%df" % len(values), *values)


def members(images, labels):
    """(name, bytes) of all members, sorted by name."""
    for i, (image, label) in enumerate(zip(images, labels)):
        pixels = [float(p) / 8.0 - 1.0 for row in image for p in row]
        yield "%05d.cls" % i, b"%d" % label
        yield "%05d.image.npy" % i, npy_bytes((1, 8, 8), pixels)


def write_tar(path, items):
    """Write members with fixed metadata; return the SHA-256 of the file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            info.mtime = info.uid = info.gid = 0
            tar.addfile(info, io.BytesIO(data))
    Path(path).write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def main():
    from sklearn.datasets import load_digits

    out = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "digits.tar"
    digits = load_digits()
    print(write_tar(out, members(digits.images, digits.target)), out)


if __name__ == "__main__":
    main()
