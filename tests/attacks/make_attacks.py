#!/usr/bin/env python3
"""Write the hostile files of this folder and the EXPECTED list.

    python3 make_attacks.py

Each known trick against a reader is one file, with words that the refusal must contain. Files whose
expectation is "ok" must be accepted: they prove that a reader does not refuse everything. Tests
(tests/rt/test_attacks.c) read every file; the fuzz targets start from them.
"""
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


def tars():
    reg = tarfile.REGTYPE
    one = tar(("a.cls", reg, b"1"))

    def p(name, data, words):
        put("tar", name + ".tar", data, words)

    p("ok-one", one, "ok")
    p("ok-links-passed-over", tar(("a.cls", reg, b"1"), ("a.lnk", tarfile.SYMTYPE, b""),
                                  ("a.hard", tarfile.LNKTYPE, b""), ("a.dev", tarfile.CHRTYPE, b"")), "ok")
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
    p("deep-lists", "[" * 20000, ".yaml")
    p("python-object", "train: !!python/object/apply:os.system [id]\n", ".yaml")
    p("tag", "train: {steps: !!int 3}\n", "tags are not allowed")
    p("twice", "train: {steps: 1}\ntrain: {steps: 2}\n", "given twice")
    p("two-documents", "train: {steps: 1}\n---\ntrain: {steps: 2}\n", "second document")
    p("nul", "run: {name: \"a\\0b\"}\n", "NUL")
    p("line-separator", "run: {name: \"a\\Lb\"}\n", "without control characters")
    p("key-escape", "\"\\e[2J\": 1\n", "a key has control characters")
    p("not-utf8", b"run: {name: \"\xff\"}\n", ".yaml")
    p("unknown", "train: {stpes: 1}\n", "did you mean 'train.steps'?")


def main():
    safetensors()
    npys()
    tars()
    yamls()
    (HERE / "EXPECTED").write_text("\n".join(expected) + "\n")


if __name__ == "__main__":
    main()
