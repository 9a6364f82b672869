"""plan_file.py - take a plan apart and put it together again with correct hashes (see
runtime/plan/plan.h for the container). The hash comes from the system's libxxhash."""
import ctypes
import ctypes.util
import struct


class Hash128(ctypes.Structure):
    _fields_ = [("lo", ctypes.c_uint64), ("hi", ctypes.c_uint64)]


def library():
    """libxxhash, or None."""
    name = ctypes.util.find_library("xxhash") or "libxxhash.so.0"
    try:
        lib = ctypes.CDLL(name)
    except OSError:
        return None
    for function, result in (("XXH3_128bits", Hash128), ("XXH3_64bits", ctypes.c_uint64)):
        getattr(lib, function).restype = result
        getattr(lib, function).argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lib


LIB = library()


def hash128(data):
    h = LIB.XXH3_128bits(data, len(data))
    return struct.pack("<QQ", h.lo, h.hi)


class Plan:
    def __init__(self, raw):
        self.raw = bytearray(raw)
        self.table, self.count = struct.unpack_from("<QI", raw, 24)

    def entry(self, kind):
        """(offset of the table's entry, offset of the section, bytes)"""
        for i in range(self.count):
            at = self.table + 64 * i
            name, _, offset, n = struct.unpack_from("<4sIQQ", self.raw, at)
            if name.decode() == kind:
                return at, offset, n
        raise KeyError(kind)

    def kinds(self):
        return [bytes(self.raw[self.table + 64 * i:][:4]).decode() for i in range(self.count)]

    def section(self, kind):
        _, offset, n = self.entry(kind)
        return bytes(self.raw[offset:offset + n])

    def replace(self, kind, data):
        """Other bytes of the same number."""
        at, offset, n = self.entry(kind)
        assert len(data) == n
        self.raw[offset:offset + n] = data

    def sealed(self):
        """The file with all hashes made new."""
        for kind in self.kinds():
            at = self.entry(kind)[0]
            self.raw[at + 32:at + 48] = hash128(self.section(kind))
        self.raw[40:56] = hash128(bytes(self.raw[self.table:self.table + 64 * self.count]))
        self.raw[120:128] = struct.pack("<Q", LIB.XXH3_64bits(bytes(self.raw[:120]), 120))
        return bytes(self.raw)
