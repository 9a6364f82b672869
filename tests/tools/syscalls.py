#!/usr/bin/env python3
"""syscalls.py: files and memory are reached through runtime/base/sys.h alone, so that tests can let
every call fail. Standard library only.

    python3 syscalls.py              every file of both programs
    python3 syscalls.py --self-test  shows that forbidden calls are found
"""
import re
import sys

from tree import ROOT, sources

FILES = """open openat open64 creat read pread readv write pwrite writev close fsync fdatasync fdopen
fopen freopen fclose fread fgets fgetc getline tmpfile mkstemp mkdtemp mkdir mkdirat rmdir rename renameat
renameat2 unlink unlinkat remove link symlink truncate ftruncate mmap munmap mremap memfd_create stat lstat
fstat fstatat access opendir fdopendir readdir closedir fork vfork popen system posix_spawn posix_spawnp
json_load_file json_dump_file json_loadfd json_loadf archive_read_open_fd archive_read_open_filename
png_init_io yaml_parser_set_input_file""".split()
MEMORY = "malloc calloc realloc aligned_alloc posix_memalign strdup strndup asprintf open_memstream alloca".split()

# The seam itself; a tool of the build, in no program; memory of measurements, freed at once; lines
# of the standard input.
EXEMPT = {
    "runtime/base/sys.c": set(FILES + MEMORY),
    "codegen/embed.c": set(FILES),
    "runtime/device/dev_cpu_roof.c": {"aligned_alloc"},
    "runtime/app/bench.c": {"fgets"},
}
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(FILES + MEMORY))
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def faults_of(path, text):
    out = []
    code = NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    for match in CALL.finditer(code):
        if match.group(1) in EXEMPT.get(path, ()):
            continue
        line = code.count("\n", 0, match.start()) + 1
        out.append("%s:%d: %s(): use runtime/base/sys.h, file.h or an arena" % (path, line, match.group(1)))
    return out


def self_test():
    wrong = ["int f(void) { return open(p, 0); }", "void *p = malloc (3);", "x = (mmap(0, n));"]
    right = ["c->ops->open(d);", "/* write(fd) */", 'say("rename(x)");', "dfm_sys_open(0, p, 0, 0);",
             "// close(fd)", "reopen(x)"]
    missed = [t for t in wrong if not faults_of("runtime/app/x.c", t)]
    missed += [t for t in right if faults_of("runtime/app/x.c", t)]
    if missed or faults_of("runtime/base/sys.c", wrong[0]):
        sys.exit("wrongly judged: %s" % missed)


def main():
    if "--self-test" in sys.argv:
        return self_test()
    faults = []
    files = [str(p) for p in sources(".c", ".h", parts=("compiler", "codegen", "runtime"))]
    for path in files:
        if "/templates/" not in path:
            faults += faults_of(path, (ROOT / path).read_text())
    print("%d files, %d faults" % (len(files), len(faults)))
    if faults or not files:
        sys.exit("\n".join(faults) or "no source files")


if __name__ == "__main__":
    main()
