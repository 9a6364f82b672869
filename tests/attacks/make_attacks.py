#!/usr/bin/env python3
"""Write the hostile files of this folder and the EXPECTED list.

    python3 make_attacks.py

Each known trick against a reader is one file, with words that the refusal must contain. Files whose
expectation is "ok" must be accepted: they prove that a reader does not refuse everything. Tests
(tests/rt/test_attacks.c) read every file; the fuzz targets start from them.
"""
import gzip
import io
import json
import struct
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
expected = []


def put(kind, name, data, words):
    """One file and what must happen to it."""
    folder = HERE / kind
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    expected.append("%s/%s\t%s" % (kind, name, words))


# -- safetensors ---------------------------------------------------------------------------------

def st(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors():
    def p(name, data, words):
        put("safetensors", name + ".safetensors", data, words)

    p("ok-two", st({"a": entry([2], 0, 8), "b": entry([1, 4], 8, 12, "U8")}, bytes(12)), "ok")
    p("ok-empty", st({}), "ok")
    p("ok-scalar", st({"s": entry([], 0, 8, "I64"), "__metadata__": {"k": "v"}}, bytes(8)), "ok")
    p("empty-file", b"", "shorter than 8 bytes")
    p("header-huge", st(b"{}", length=2**63), "over 100 MB")
    p("header-beyond-file", st(b"{}", length=1000), "longer than the file")
    p("header-not-object", st(b"[]"), "does not start with '{'")
    p("header-cut", st(b'{"a":'), "header byte")
    p("header-not-utf8", st(b'{"\xff":{}}' + b" " * 80), "header byte")
    p("deep", st(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"), "nests too deeply")
    p("many-empty", st(b"{" + b",".join(b'"%d":{}' % i for i in range(3000)) + b"}"),
      "too many empty entries")
    p("duplicate-key", st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                          b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"), "duplicate")
    p("duplicate-field", st(b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
                            b"x"), "duplicate")
    p("overlap", st({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)), "overlaps")
    p("alias", st({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)), "overlaps")
    p("hole", st({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, bytes(12)), "hole")
    p("polyglot-tail", st({"a": entry([1], 0, 4)}, bytes(4) + b"PK\x05\x06"), "belong to none")
    p("out-of-file", st({"a": entry([4], 0, 16)}, bytes(8)), "outside the file")
    p("reversed-range", st({"a": entry([1], 4, 0)}, bytes(4)), "outside the file")
    p("negative-range", st({"a": entry([1], -4, 0)}, bytes(4)), "whole numbers")
    p("shape-lies", st({"a": entry([1000000], 0, 4)}, bytes(4)), "do not fill")
    p("shape-overflow", st({"a": entry([2**62, 4], 0, 0)}), "overflows")
    p("shape-overflow-to-zero", st({"a": entry([2**32, 2**32, 0], 0, 0)}), "overflows")
    p("shape-wraps-to-fit", st({"a": entry([2**62 + 1, 4], 0, 16)}, bytes(16)), "overflows")
    p("shape-float", st({"a": entry([1.0], 0, 4)}, bytes(4)), "whole numbers")
    p("shape-too-long", st({"a": entry([1] * 1000, 0, 4)}, bytes(4)), "too many dims")
    p("dtype-unknown", st({"a": entry([1], 0, 4, "F99")}, bytes(4)), "unknown dtype")
    p("metadata-number", st({"__metadata__": {"k": 1}}), "not text")
    p("terminal-escape", st({"\x1b[2J": entry([1], 0, 4)}, bytes(4)), "control characters")
    p("name-turns-text", st({"a\u202egnp.exe": entry([1], 0, 4)}, bytes(4)), "control characters")
    p("name-long", st({"n" * 5000: entry([1], 0, 4)}, bytes(4)), "too long")
    p("name-nul", st(b'{"a\\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"), "header byte")
    p("name-half-surrogate", st(b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"),
      "header byte")
    p("name-overlong-utf8", st(b'{"\xc0\xae\xc0\xae":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x"),
      "header byte")
    p("dtype-big-endian", st({"a": entry([1], 0, 4, ">f4")}, bytes(4)), "unknown dtype")
    p("dtype-number", st({"a": entry([1], 0, 4, 7)}, bytes(4)), "not {dtype")
    p("dtype-escape", st({"a": entry([1], 0, 4, "\x1b[2J")}, bytes(4)), "unknown dtype")
    p("entry-more", st({"a": dict(entry([1], 0, 4), code="id")}, bytes(4)), "not {dtype")
    p("entry-list", st({"a": [1, 2]}, bytes(4)), "not {dtype")
    p("offsets-three", st({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1, 1]}}, b"x"), "not a pair")
    p("offsets-float", st({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1.0]}}, b"x"), "whole numbers")
    p("offsets-true", st({"a": {"dtype": "U8", "shape": [1], "data_offsets": [False, True]}}, b"x"),
      "whole numbers")
    p("offsets-64-bits", st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551617]}}', b"x"),
      "header byte")
    p("offsets-largest", st({"a": entry([1], 0, 2**63 - 1)}, bytes(4)), "outside the file")
    p("shape-negative", st({"a": entry([-1], 0, 4)}, bytes(4)), "whole numbers")
    p("shape-both-negative", st({"a": entry([-1, -1], 0, 4)}, bytes(4)), "whole numbers")
    p("shape-text", st({"a": entry(["1"], 0, 4)}, bytes(4)), "whole numbers")
    p("shape-nested", st({"a": entry([[1]], 0, 4)}, bytes(4)), "whole numbers")
    p("hole-at-start", st({"a": entry([1], 4, 8)}, bytes(8)), "hole")
    p("no-tensor-but-data", st({}, bytes(4)), "belong to none")
    p("inside-another", st({"a": entry([4], 0, 16), "b": entry([1], 4, 8), "c": entry([1], 16, 20)}, bytes(20)),
      "overlaps")
    p("empty-inside-another", st({"a": entry([4], 0, 16), "b": entry([0], 4, 4)}, bytes(16)), "overlaps")
    p("metadata-list", st({"__metadata__": ["x"]}), "not an object")
    p("metadata-nested", st({"__metadata__": {"k": {"a": "b" * 80}}}), "not text")
    p("metadata-twice", st(b'{"__metadata__":{"k":"1","k":"2"}}'), "duplicate")
    p("header-two-objects", st(b"{}{}"), "header byte")
    p("header-tail", st(b'{}\0\0\0\0\0\0'), "header byte")
    p("header-blank-first", st(b' {"a":1}'), "does not start with '{'")
    p("header-bom", st(b"\xef\xbb\xbf{}"), "does not start with '{'")
    p("header-empty", st(b""), "does not start with '{'")
    p("header-comment", st(b"{/* x */}"), "header byte")
    p("header-nan", st(b'{"a":NaN}'), "header byte")
    p("length-cut", b"\x02\0\0\0", "shorter than 8 bytes")
    p("zip-inside", st({"a": entry([1], 0, 4), "z": entry([22], 4, 26, "U8")},
                       bytes(4) + b"PK\x05\x06" + bytes(18)), "ok")     # bytes of a tensor are any bytes
    p("pickle", b"\x80\x04cos\nsystem\n(S'id'\ntR.", "over 100 MB")
    p("gguf", b"GGUF\x03\0\0\0" + bytes(64), "over 100 MB")
    p("deep-in-value", st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":' + b"[" * 100 + b"]" * 100 + b"}}"),
      "nests too deeply")


def indexes():
    """Indexes of split files: they name other files."""
    def p(name, value, words):
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        put("index", name + ".safetensors.index.json", text, words)

    def one(file):
        return {"metadata": {}, "weight_map": {"a": file}}

    put("index", "part.safetensors", st({"a": entry([1], 0, 4)}, bytes(4)), "ok")
    p("ok", one("part.safetensors"), "ok")
    p("dotdot", one("../safetensors/ok-two.safetensors"), "not a .safetensors file")
    p("absolute", one("/etc/passwd.safetensors"), "not a .safetensors file")
    p("hidden", one(".part.safetensors"), "not a .safetensors file")
    p("other-kind", one("part.pkl"), "not a .safetensors file")
    p("number", {"weight_map": {"a": 1}}, "not a .safetensors file")
    p("no-map", {"metadata": {}}, "no weight_map")
    p("list", [1, 2], "no weight_map")
    p("missing-file", one("none.safetensors"), "none.safetensors")
    p("wrong-tensor", {"weight_map": {"b": "part.safetensors"}}, "it is not")
    p("twice", b'{"weight_map":{"a":"part.safetensors","a":"part.safetensors"}}', "duplicate")
    p("deep", b"[" * 100000, "not a valid index")
    p("long-name", one("n" * 300 + ".safetensors"), "not a .safetensors file")
    p("escape", one("\x1b[2J.safetensors"), "not a .safetensors file")


# -- npy -----------------------------------------------------------------------------------------

def npy(header, data=b"", version=1, length=None):
    text = header.encode("latin-1")
    n = len(text) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", n) + text + data


def head(descr="'<f4'", shape="(2,)", order="False"):
    return "{'descr': %s, 'fortran_order': %s, 'shape': %s, }\n" % (descr, order, shape)


def npys():
    def p(name, data, words):
        put("npy", name + ".npy", data, words)

    p("ok-v1", npy(head(), bytes(8)), "ok")
    p("ok-v2", npy(head("'|u1'", "(2, 3)"), bytes(6), version=2), "ok")
    p("ok-scalar", npy(head("'<i8'", "()"), bytes(8), version=3), "ok")
    p("object", npy(head("'|O'"), b"\x80\x04cos\nsystem\n"), "Python objects")
    p("code", npy("__import__('os').system('id')\n"), "not a dict")
    p("fortran", npy(head(order="True"), bytes(8)), "Fortran order")
    p("big-endian", npy(head("'>f4'"), bytes(8)), "big-endian")
    p("structured", npy(head("[('a', '<f4')]"), bytes(8)), "structured")
    p("shape-lies", npy(head(shape="(1000000,)"), bytes(8)), "its shape needs")
    p("shape-overflow", npy(head(shape="(4611686018427387905, 4)"), bytes(16)), "overflows")
    p("shape-digits", npy(head(shape="(" + "9" * 400 + ",)"), bytes(8)), "overflows")
    p("shape-negative", npy(head(shape="(-1,)"), bytes(8)), "whole numbers")
    p("shape-long", npy(head(shape="(" + "1," * 500 + ")"), bytes(4)), "more than 32 dims")
    p("header-beyond-file", npy(head(), length=60000), "cut off")
    p("header-4gib", npy(head(), version=2, length=0xffffffff), "64 KiB")
    p("key-twice", npy("{'descr': '<f4', 'shape': (1,), 'shape': (2,), 'fortran_order': False}\n",
                       bytes(8)), "twice")
    p("trailing-bytes", npy(head(), bytes(9)), "its shape needs")
    p("eval-shape", npy(head(shape="__import__('os').system('id')"), bytes(8)), "not a tuple")
    p("eval-in-shape", npy(head(shape="(2**40,)"), bytes(8)), "not closed")
    p("eval-key", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), exec('id'): 1}\n", bytes(8)),
      "malformed")
    p("comprehension", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,) for x in y}\n", bytes(8)),
      "malformed")
    p("after-the-dict", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}; exec('id')\n", bytes(8)),
      "text follows")
    p("nul-in-header", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\0\n", bytes(8)),
      "text follows")
    p("escaped-quote", npy(head("'<f\\x34'"), bytes(8)), "not text")
    p("bytes-literal", npy(head("b'<f4'"), bytes(8)), "not text")
    p("structured-tuple", npy(head("('<f4', (2,))"), bytes(8)), "not text")
    p("void", npy(head("'|V1000000000'"), bytes(8)), "not supported")
    p("unicode-text", npy(head("'<U1000000000'"), bytes(8)), "not supported")
    p("date", npy(head("'<M8[ns]'"), bytes(16)), "not supported")
    p("complex", npy(head("'<c8'"), bytes(16)), "not supported")
    p("long-descr", npy(head("'" + "<f4" * 30 + "'"), bytes(8)), "not text")
    p("escape-descr", npy(head("'\x1b[2J'"), bytes(8)), "not text")
    p("shape-underscore", npy(head(shape="(1_0,)"), bytes(40)), "not closed")
    p("shape-hexadecimal", npy(head(shape="(0x2,)"), bytes(8)), "not closed")
    p("shape-float", npy(head(shape="(2.0,)"), bytes(8)), "not closed")
    p("shape-list", npy(head(shape="[2]"), bytes(8)), "not a tuple")
    p("shape-number", npy(head(shape="(2)"), bytes(8)), "not a tuple")
    p("shape-nested", npy(head(shape="((2,),)"), bytes(8)), "whole numbers")
    p("shape-zero-times-huge", npy(head(shape="(18446744073709551615, 18446744073709551615, 0)")), "overflows")
    p("order-number", npy(head(order="0"), bytes(8)), "neither True nor False")
    p("order-lower-case", npy(head(order="false"), bytes(8)), "neither True nor False")
    p("key-missing", npy("{'descr': '<f4', 'shape': (2,)}\n", bytes(8)), "lacks a key")
    p("key-more", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}\n", bytes(8)),
      "one too many")
    p("no-end-of-line", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", bytes(8)), "end of line")
    p("open-dict", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)\n", bytes(8)), "malformed")
    p("open-tuple", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,\n", bytes(8)), "whole numbers")
    p("version-4", npy(head(), bytes(8), version=1).replace(b"NUMPY\1", b"NUMPY\4"), "version")
    p("version-0", npy(head(), bytes(8), version=1).replace(b"NUMPY\1", b"NUMPY\0"), "version")
    p("magic-cut", b"\x93NUM", "does not start")
    p("pickle", b"\x80\x04cos\nsystem\n(S'id'\ntR." + bytes(20), "does not start")
    p("zip", b"PK\x03\x04" + bytes(60), "does not start")               # .npz under another name


# -- tar -----------------------------------------------------------------------------------------

def tar(*members, end=b"", pax=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, kind, data in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.pax_headers = pax or {}
            t.addfile(info, io.BytesIO(data))
    return buffer.getvalue() + end


def patched(data, at, value):
    """Header field changed, checksum made right again."""
    b = bytearray(data)
    b[at:at + len(value)] = value
    b[148:156] = b" " * 8
    b[148:156] = b"%06o\0 " % sum(b[:512])
    return bytes(b)


def typed(data, kind, magic=b"ustar\x0000"):
    """The first header made one of another type."""
    b = bytearray(data)
    b[257:265] = magic
    return patched(patched(bytes(b), 156, kind), 257, magic)


def record(key, value):
    """A record of a pax header: "LENGTH KEY=VALUE\\n", the length counts itself."""
    n = len(key) + len(value) + 3
    while len(str(n)) + len(key) + len(value) + 3 != n:
        n = len(str(n)) + len(key) + len(value) + 3
    return b"%d %s=%s\n" % (n, key, value)


def pax_block(body, kind=b"x"):
    plain = tar(("pax", tarfile.REGTYPE, body))
    return typed(plain[:512 + (len(body) + 511) // 512 * 512], kind)


def pax_record(data, key, value):
    return pax_block(record(key, value)) + data


def gnu_name(name):
    body = name + b"\0"
    plain = tar(("././@LongLink", tarfile.REGTYPE, body))
    return typed(plain[:512 + (len(body) + 511) // 512 * 512], b"L", b"ustar  \0")


def tars():
    reg = tarfile.REGTYPE
    one = tar(("a.cls", reg, b"1"))

    def p(name, data, words):
        put("tar", name + ".tar", data, words)

    p("ok-one", one, "ok")
    p("ok-links-passed-over", tar(("a.cls", reg, b"1"), ("a.lnk", tarfile.SYMTYPE, b""),
                                  ("a.hard", tarfile.LNKTYPE, b""), ("a.dev", tarfile.CHRTYPE, b"")), "ok")
    p("ok-mode-in-letters", one[:1024] + patched(patched(one, 0, b"b"), 100, b"rw-r--r\0"), "ok")
    linked = patched(typed(patched(one[:512], 0, b"a.hard"), b"1"), 124, b"00000001000\0")
    p("ok-link-with-a-header", pax_record(one[:1024], b"comment", b"x") + patched(one[:1024], 0, b"b.cls") +
      linked + patched(one, 124, b"00000000000\0")[:512] + patched(one, 0, b"c.cls"), "ok")
    p("empty-file", b"", "")
    p("not-a-tar", b"hello, this is not a tar file\n" * 40, "")
    p("absolute", patched(one, 0, b"/etc/passwd.cls"), "absolute")
    p("dotdot", patched(one, 0, b"../../a.cls"), "'..'")
    p("dotdot-inside", patched(one, 0, b"x/../../a.cls"), "'..'")
    p("name-not-utf8", patched(one, 0, b"a\xff\xfe.cls"), "not clean UTF-8")
    p("name-escape", patched(one, 0, b"a\x1b[2J.cls"), "not clean UTF-8")
    p("name-long", tar(("n" * 5000 + ".cls", reg, b"1")), "longer than 1 KiB")
    p("size-huge", patched(one, 124, b"77777777777\0"), "larger than 1 GiB")
    p("size-base256", patched(one, 124, b"\x80" + b"\xff" * 11), "")
    p("size-beyond-file", patched(one, 124, b"00000100000\0"), "cut off")
    p("pax-size-huge", tar(("a.cls", reg, b"1"), pax={"size": str(2**62)}), "")
    p("member-twice", tar(("a.cls", reg, b"1"), ("a.cls", reg, b"2")), "has it twice")
    p("members-300", tar(*[("a.%d" % i, reg, b"") for i in range(300)]), "over 256 members")
    p("cut-in-data", tar(("a.cls", reg, bytes(3000)))[:2048], "cut off")
    p("cut-in-header", one[:300], "")
    p("no-end-mark", one[:1024], "no end mark")
    p("tail", one + b"PK\x05\x06" + bytes(508), "end mark")
    p("checksum", one[:148] + b"777777\0 " + one[156:], "")
    p("checksum-signed", one[:148] + b"-00001\0 " + one[156:], "")
    p("gzip", gzip.compress(bytes(1 << 20), mtime=0), "not a tar")                    # a bomb, if it were read
    p("gzip-of-tar", gzip.compress(one, mtime=0), "not a tar")
    p("zip", b"PK\x03\x04" + bytes(2044), "")
    p("size-negative", patched(one, 124, b"-0000000001\0"), "")
    p("size-base256-negative", patched(one, 124, b"\xff" * 12), "")
    p("size-base256-2gib", patched(one, 124, b"\x80" + bytes(7) + b"\x80\0\0\0"), "larger than 1 GiB")
    p("size-not-octal", patched(one, 124, b"99999999999\0"), "")
    p("pax-path-dotdot", tar(("a.cls", reg, b"1"), pax={"path": "../../etc/passwd.cls"}), "'..'")
    p("pax-path-absolute", tar(("a.cls", reg, b"1"), pax={"path": "/etc/passwd.cls"}), "absolute")
    p("pax-path-nul", pax_record(one, b"path", b"a.cls\0/../../x"), "ok")            # the name ends there
    p("pax-path-not-utf8", pax_record(one, b"path", b"a\xff.cls"), "not clean UTF-8")
    p("pax-path-overlong-dots", pax_record(one, b"path", b"\xc0\xae\xc0\xae/a.cls"), "not clean UTF-8")
    p("pax-path-turns-text", pax_record(one, b"path", "a\u202egnp.cls".encode()), "not clean UTF-8")
    p("pax-size-negative", pax_record(one, b"size", b"-1"), "")
    p("pax-size-larger", pax_record(one, b"size", b"40960"), "cut off")
    p("pax-length-lies", pax_block(b"999999999 path=a.cls\n") + one, "")
    p("pax-length-zero", pax_block(b"0 path=a.cls\n") + one, "")
    p("pax-no-equals", pax_block(b"10 pathpat\n") + one, "")
    p("pax-header-huge", patched(pax_block(b"x"), 124, b"17777777777\0") + one, "")
    p("pax-global-path", pax_block(record(b"path", b"../../a.cls"), b"g") + one, "ok")
    p("gnu-name-huge", patched(typed(one, b"L"), 124, b"17777777777\0") + one, "")
    p("gnu-name-dotdot", gnu_name(b"../../a.cls") + one, "'..'")
    p("gnu-sparse", patched(typed(one, b"S", b"ustar  \0"), 483, b"77777777777\0"), "")
    p("pax-sparse", pax_block(record(b"GNU.sparse.major", b"0") + record(b"GNU.sparse.minor", b"1") +
                              record(b"GNU.sparse.numblocks", b"1") + record(b"GNU.sparse.map", b"0,1") +
                              record(b"GNU.sparse.size", b"1099511627776")) + one, "")
    p("ok-folder-with-size", typed(tar(("a.cls/", tarfile.DIRTYPE, b"")), b"5") + b"", "ok")
    p("ok-fifo", tar(("a.cls", reg, b"1"), ("a.pipe", tarfile.FIFOTYPE, b""), ("a.blk", tarfile.BLKTYPE, b"")),
      "ok")
    p("unknown-type", typed(one, b"Z"), "ok")                                         # read as a file, as POSIX says
    p("name-backslash", patched(one, 0, b"..\\..\\a.cls"), "ok")                    # only a key, never a path
    p("name-dot", tar((".cls", reg, b"1"), ("a.cls", reg, b"1")), "ok")
    p("name-empty", patched(one, 0, bytes(100)), "ok")                              # no member of a sample
    p("zeros", bytes(10240), "ok")                                                    # an empty one
    p("zeros-then-member", bytes(1024) + one, "end mark")
    p("member-after-end", one[:-512] + one, "end mark")


# -- yaml ----------------------------------------------------------------------------------------

def yamls():
    def p(name, text, words):
        put("yaml", name + ".yaml", text if isinstance(text, bytes) else text.encode(), words)

    bomb = "a0: &a0 {x: 1}\n"
    for i in range(1, 10):
        bomb += "a%d: &a%d {%s}\n" % (i, i, ", ".join("k%d: *a%d" % (k, i - 1) for k in range(9)))
    p("ok-small", "train: {steps: 3}\ndata:\n  path: \"x\"\n", "ok")
    p("ok-alias", "run: {threads: &n 3}\ntrain: {accumulate: *n}\n", "ok")
    p("bomb", bomb, ".yaml")
    p("aliases-200", "run: {threads: &t 1}\nx: {" + ", ".join("k%d: *t" % i for i in range(200)) + "}\n",
      "more than 100 aliases")
    p("cycle", "a: &a {b: *a}\n", "deeper than 64")
    p("deep", "{a: " * 200 + "}" * 200, "deeper than 64")
    p("deep-lists", "[" * 20000, "deeper than 64")
    p("python-object", "train: !!python/object/apply:os.system [id]\n", ".yaml")
    p("tag", "train: {steps: !!int 3}\n", "tags are not allowed")
    p("twice", "train: {steps: 1}\ntrain: {steps: 2}\n", "given twice")
    p("two-documents", "train: {steps: 1}\n---\ntrain: {steps: 2}\n", "second document")
    p("nul", "run: {name: \"a\\0b\"}\n", "NUL")
    p("line-separator", "run: {folder: \"a\\Lb\"}\n", "without control characters")
    p("key-escape", "\"\\e[2J\": 1\n", "a key has control characters")
    p("not-utf8", b"run: {name: \"\xff\"}\n", ".yaml")
    p("unknown", "train: {stpes: 1}\n", "did you mean 'train.steps'?")
    p("merge-key", "a: &a {steps: 1}\ntrain: {<<: *a}\n", "unknown")
    p("anchor-on-key", "&k train: {steps: 1}\n*k : {seed: 1}\n", "given twice")
    p("two-spellings", "train: {steps: 1}\ntrain.steps: 2\n", "given twice")
    p("key-is-map", "? {a: b}\n: 1\n", "a key must be text")
    p("key-is-list", "? [a]\n: 1\n", "a key must be text")
    p("directive-tag", "%TAG ! tag:evil,2000:\n---\ntrain: {steps: !x 3}\n", "tags are not allowed")
    p("directive-version", "%YAML 9.9\n---\ntrain: {steps: 3}\n", ".yaml")
    p("tag-on-map", "train: !!omap {steps: 3}\n", "tags are not allowed")
    p("binary", "run: {name: !!binary aWQ=}\n", "tags are not allowed")
    p("tab", "train:\n\tsteps: 3\n", ".yaml")
    p("utf-16", "train: {steps: 3}\n".encode("utf-16"), "ok")
    p("utf-16-half", "train: {steps: 3}\n".encode("utf-16")[:-1], ".yaml")
    p("overlong-utf8", b"run: {name: \"\xc0\xae\"}\n", ".yaml")
    p("turns-text", "run: {folder: \"a\u202eb\"}\n", "without control characters")
    p("escape", "run: {folder: \"\\e[2J\"}\n", "without control characters")
    p("number-huge", "train: {steps: 99999999999999999999}\n", "'train.steps' must be")
    p("number-negative", "train: {steps: -1}\n", "'train.steps' must be")
    p("number-hexadecimal", "train: {steps: 0x10}\n", "'train.steps' must be")
    p("number-exponent", "train: {steps: 1e3}\n", "'train.steps' must be")
    p("number-infinite", "train: {lr: .inf}\n", "'train.lr' must be")
    p("number-overflow", "train: {lr: 1e999}\n", "'train.lr' must be")
    p("number-nan", "train: {lr: nan}\n", "'train.lr' must be")
    p("folder-dotdot", "run: {name: ../../x}\n", "'run.name'")
    p("folder-absolute", "run: {name: /tmp/x}\n", "'run.name'")
    p("folder-hidden", "run: {name: .x}\n", "'run.name'")
    p("many-keys", "".join("k%d: 1\n" % i for i in range(5000)), "unknown")
    p("scalar", "hello\n", "must be a map")
    p("list", "- train\n", "must be a map")
    p("undefined-alias", "train: *x\n", ".yaml")
    p("unclosed", "train: {steps: 3\n", ".yaml")


# -- programs ------------------------------------------------------------------------------------

def programs():
    """For `dfmc check`: exit 1 and these words, within a second (tests/system/test_attacks.py)."""
    head = "dfm 1\n"

    def p(name, text, words):
        put("dfm", name + ".dfm", text if isinstance(text, bytes) else text.encode(), words)

    def model(body, dims="dim B = 4, D = 16\n"):
        return head + dims + "model m(x: f32[B, D]) -> f32[B, D] {\n" + body + "\n}\n"

    p("ok", model("  return x"), "ok")
    p("brackets", model("  return " + "(" * 5000 + "x" + ")" * 5000), "E0203")
    p("brackets-open", model("  return " + "(" * 20000), "E0203")
    p("minus", model("  return " + "-" * 20000 + "x"), "E0203")
    p("sum", model("  return " + " + ".join(["x"] * 20000)), "E0203")
    p("blocks", head + "".join("block b%d(x: [B]) -> [B] {\n" % i for i in range(300)), "E02")
    p("line-huge", model("  return x" + " " * 200000), "ok")
    p("name-huge", model("  return " + "a" * 100000), "E0401")
    p("nul", model("  return x\0"), "E0107")
    p("not-utf8", model("  return x").encode() + b"# \xff\n", "E0107")
    p("overlong", model("  return x").encode() + b"# \xc0\xae\n", "E0107")
    p("escape", model("  return x \x1b[2J"), "E0101")
    p("turns-text", model("  return x # \u202e } \u2066"), "E0107")
    p("other-letters", model("  \u0445 = x\n  return x"), "E0101")              # a Cyrillic x
    p("carriage-return", "dfm 1\r\nmodel m(x: f32[4]) -> f32[4] {\r\n  return x\r\n}\r\n", "ok")
    p("bom", "\ufeff" + model("  return x"), "ok")
    p("elf", b"\x7fELF" + bytes(1000), "E0")
    p("import-itself", head + 'import "import-itself.dfm" as a\n' + model("  return x")[6:], "E0405")
    p("import-circle-1", head + 'import "import-circle-2.dfm" as a\n' + model("  return x")[6:], "E0405")
    p("import-circle-2", head + 'import "import-circle-1.dfm" as a\n', "E0405")
    p("import-folder", head + 'import "." as a\n' + model("  return x")[6:], "E0405")
    p("import-device", head + 'import "/dev/zero" as a\n' + model("  return x")[6:], "E0405")
    p("import-escape", head + 'import "\x1b[2J.dfm" as a\n' + model("  return x")[6:], "E0")
    p("number-digits", model("  return x * " + "9" * 5000), "E0105")
    p("number-exponent", model("  return x * 1e999999999"), "E0105")
    p("dim-huge", model("  return x", "dim B = 9223372036854775807, D = 16\n"), "E03")
    p("dims-product", model("  return x", "dim B = 4000000000, D = 4000000000\n"), "E0")
    p("dim-tower", model("  return x", "dim B = 4, D = " + " * ".join(["99999"] * 40) + "\n"), "E0")
    p("dim-negative", model("  return x", "dim B = 4, D = 3 - 5\n"), "E03")
    p("dim-zero", model("  return x", "dim B = 4, D = 0\n"), "E03")
    p("dim-by-zero", model("  return x", "dim B = 4, D = 4 // (2 - 2)\n"), "E03")
    p("repeat-huge", model("  h = x\n  repeat l[i: 1000000000] with h {\n    h = linear(h, D -> D) as fc\n  }\n"
                           "  return h"), "E0")
    p("recursion", model("  return f(x)") + "block f(x: [B, D]) -> [B, D] {\n  return f(x)\n}\n", "E0404")
    doubled = "".join("block g%d(x: [B, D]) -> [B, D] {\n  return g%d(g%d(x))\n}\n" % (i, i - 1, i - 1)
                      for i in range(1, 40))
    p("calls-double", model("  return g39(x)") + "block g0(x: [B, D]) -> [B, D] {\n  return x\n}\n" + doubled,
      "E0416")
    p("errors-many", model("".join("  a%d = silu(u%d)\n" % (i, i) for i in range(3000)) + "  return x"), "20 errors")


def main():
    safetensors()
    indexes()
    npys()
    tars()
    yamls()
    programs()
    (HERE / "EXPECTED").write_text("\n".join(expected) + "\n")


if __name__ == "__main__":
    main()
