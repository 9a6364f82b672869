#!/usr/bin/env python3
"""check_blocks.py DFMC FILE.md...: every ```dfm block of the files is what it says.

A block is a whole program. "```dfm" must pass `dfmc check`; "```dfm E0304" must fail with that
code; "```dfm plan" must also compile to a plan (target null).
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def run(dfmc, mode, text, folder):
    source = Path(folder) / "block.dfm"
    source.write_text(text)
    if mode == "plan":
        command = [dfmc, str(source), "--target", "null", "-o", str(Path(folder) / "block.plan")]
    else:
        command = [dfmc, "check", str(source)]
    return subprocess.run(command, capture_output=True, text=True)


def main():
    dfmc, files, failed, count = sys.argv[1], sys.argv[2:], 0, 0
    for name in files:
        text = Path(name).read_text()
        for block in re.finditer(r"^```dfm *(\S*)\n(.*?)^```$", text, re.M | re.S):
            mode, line = block.group(1), text.count("\n", 0, block.start()) + 2
            count += 1
            with tempfile.TemporaryDirectory() as folder:
                result = run(dfmc, mode, block.group(2), folder)
            if mode.startswith("E"):
                good = result.returncode == 1 and f"error[{mode}]" in result.stderr
            else:
                good = result.returncode == 0
            if not good:
                failed += 1
                print(f"{name}:{line}: block ({mode or 'check'}) exits {result.returncode}\n{result.stderr}")
    print(f"{count - failed} passed, {failed} failed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
