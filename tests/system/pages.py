"""pages.py - the generated pages of docs/, from the programs themselves.

    python3 pages.py --source ROOT --bin DFMC DFM_RT       writes docs/{cli,ops,errors}.md
"""
import argparse
import subprocess
from pathlib import Path

TOP = """# Commands

Generated from `compiler/options.def`, `runtime/app/options.def` and `runtime/app/config.def` by
`tests/system/pages.py`; do not edit.

"""


def output(*words):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True).stdout


def pages(dfmc, dfm_rt):
    """{file name in docs/: text}"""
    cli = TOP + output(dfmc, "help", "--all") + "\n" + output(dfm_rt, "help", "markdown")
    return {
        "cli.md": cli.rstrip("\n") + "\n",
        "ops.md": output(dfmc, "explain", "--ops"),
        "errors.md": output(dfmc, "explain", "--all"),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--bin", nargs=2, required=True)
    args = parser.parse_args()
    for name, text in pages(*args.bin).items():
        (args.source / "docs" / name).write_text(text)
        print("docs/%s: %d lines" % (name, text.count("\n")))


if __name__ == "__main__":
    main()
