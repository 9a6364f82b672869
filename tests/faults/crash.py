"""crash.py - what a file system may hold after a crash, from a record of what a program did.

The record is that of faults.c. The model is a pessimistic one (Pillai et al., OSDI 2014): contents of a
file are safe once the file is synced, names in a folder once the folder is; until then each change may or
may not have reached the disk, of contents also a part or zeros. Creating a file makes an inode; its name
is a change of the folder.
"""
import random
from pathlib import Path


class Op:
    def __init__(self, kind, inode=0, path="", other="", offset=0, data=b""):
        self.kind, self.inode, self.path, self.other = kind, inode, path, other
        self.offset, self.data = offset, data
        self.safe_at = None                 # index of the op from which on it is on the disk

    def __repr__(self):
        return "%s %s" % (self.kind, self.path or self.inode)


NAMES = ("create", "mkdir", "rename", "exchange", "unlink", "rmdir")
CONTENTS = ("write", "empty")


def parent(path):
    return path.rpartition("/")[0]


def snapshot(folder):
    """What is on the disk before a record begins: {path: (inode or None for a folder, bytes)}."""
    return {str(p): (p.stat().st_ino, p.read_bytes()) if p.is_file() else (None, b"")
            for p in sorted(Path(folder).rglob("*"))}


def read_record(path, before=()):
    """(ops, how many of them stand for what was there before); each op with the place at which it is
    safe."""
    data, ops, inode_of = Path(str(path) + ".data").read_bytes(), [], {}

    def fresh(number, name):                # numbers of inodes are used again: ours are not
        inode_of[number] = len(inode_of) + sum(op.kind == "create" for op in ops) + 1
        ops.append(Op("create", inode_of[number], name))

    for name in before:
        number, body = before[name]
        if number is None:
            ops.append(Op("mkdir", path=name))
        else:
            fresh(str(number), name)
            ops.append(Op("write", inode_of[str(number)], data=body))
    n_before = len(ops)
    for op in ops:
        op.safe_at = 0
    for line in Path(path).read_text().splitlines():
        kind, *rest = line.split(" ")
        if kind == "create":
            fresh(rest[0], rest[1])
        elif kind == "write":
            at, n, where = (int(x) for x in rest[1:])
            ops.append(Op(kind, inode_of.get(rest[0], 0), offset=at, data=data[where:where + n]))
        elif kind in ("sync", "empty"):
            ops.append(Op(kind, inode_of.get(rest[0], 0)))
        elif kind == "syncdir":
            ops.append(Op(kind, path=rest[0][:-2] if rest[0].endswith("/.") else rest[0]))
        else:
            ops.append(Op(kind, path=rest[0], other=rest[1] if len(rest) > 1 else ""))
    for i, sync in enumerate(ops):
        if sync.kind == "sync":
            changed = [op for op in ops[:i] if op.kind in CONTENTS and op.inode == sync.inode]
        elif sync.kind == "syncdir":
            changed = [op for op in ops[:i] if op.kind in NAMES and parent(op.path) == sync.path]
        else:
            continue
        for op in changed:
            if op.safe_at is None:
                op.safe_at = i
    return ops, n_before


class Tree:
    """Folders are dicts, files [bytearray]; names and contents apart, so that either may be missing."""

    def __init__(self, root):
        self.root, self.top, self.files = root, {}, {}

    def find(self, path):
        """(folder, name) or None"""
        if not path.startswith(self.root + "/"):
            return None
        at, *names = [self.top], *path[len(self.root) + 1:].split("/")
        folder = at[0]
        for name in names[:-1]:
            folder = folder.get(name)
            if not isinstance(folder, dict):
                return None
        return folder, names[-1]

    def apply(self, op, contents="all"):
        """Do what can be done: a change that rests on one that was lost is lost too."""
        if op.kind in CONTENTS:
            body = self.files.setdefault(op.inode, bytearray())
            if op.kind == "empty":
                del body[:]
                return
            data = op.data
            if contents == "zeros":
                data = bytes(len(data))
            elif contents == "half":
                data = data[:len(data) // 2]
            if len(body) < op.offset:
                body.extend(bytes(op.offset - len(body)))
            body[op.offset:op.offset + len(data)] = data
            return
        if op.kind not in NAMES:
            return
        place = self.find(op.path)
        if not place:
            return
        folder, name = place
        if op.kind == "create":
            folder[name] = self.files.setdefault(op.inode, bytearray())
        elif op.kind == "mkdir":
            folder.setdefault(name, {})
        elif op.kind in ("unlink", "rmdir"):
            folder.pop(name, None)
        else:
            to = self.find(op.other)
            if not to or name not in folder:
                return
            if op.kind == "exchange" and to[1] in to[0]:
                folder[name], to[0][to[1]] = to[0][to[1]], folder[name]
            elif op.kind == "rename":
                to[0][to[1]] = folder.pop(name)

    def write(self, folder):
        def put(entries, at):
            at.mkdir(parents=True, exist_ok=True)
            for name, entry in entries.items():
                if isinstance(entry, dict):
                    put(entry, at / name)
                else:
                    (at / name).write_bytes(entry)
        put(self.top, folder)

    def frozen(self):
        def freeze(entries):
            return tuple(sorted((n, freeze(e) if isinstance(e, dict) else bytes(e)) for n, e in entries.items()))
        return freeze(self.top)


# What of the changes that are not safe has reached the disk: (names, contents).
WAYS = [("all", "all"), ("none", "none"), ("all", "none"), ("all", "zeros"), ("all", "half"), ("none", "all"),
        ("last", "all"), ("but last", "half"), ("some", "some"), ("some", "some")]


def crashes(ops, root, first, last, seed):
    """[(at, way, tree)]: the distinct states after a crash behind op first .. last."""
    seen, out, rng = set(), [], random.Random(seed)
    for at in range(first, last + 1):
        loose = [op for op in ops[:at] if op.kind in NAMES and (op.safe_at is None or op.safe_at >= at)]
        for names, contents in WAYS:
            tree = Tree(root)
            for op in ops[:at]:
                if op.safe_at is not None and op.safe_at < at:
                    tree.apply(op)
                elif op.kind in NAMES:
                    keep = {"all": True, "none": False, "last": loose and op is loose[-1],
                            "but last": not loose or op is not loose[-1]}.get(names)
                    if rng.random() < 0.5 if keep is None else keep:
                        tree.apply(op)
                elif op.kind in CONTENTS:
                    how = rng.choice(("all", "zeros", "half", "none")) if contents == "some" else contents
                    if how != "none":
                        tree.apply(op, how)
            state = hash(tree.frozen())
            if state not in seen:
                seen.add(state)
                out.append((at, "%s/%s" % (names, contents), tree))
    return out
