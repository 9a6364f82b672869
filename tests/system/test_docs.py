#!/usr/bin/env python3
"""test_docs.py: the generated pages are what the programs print, help knows every flag and command."""
import difflib
import re

from harness import case, check, equal, main
from pages import pages


def flags_of(text, macro, column):
    """The flags in a .def table: strings in `column` of each line of that macro."""
    rows = re.findall(r"^%s\((.*)\)\s*$" % macro, text, re.M)
    return [re.findall(r'"((?:[^"\\]|\\.)*)"', row)[column] for row in rows]


@case
def generated_pages_are_current(kit):
    stale = []
    for name, text in pages(kit.dfmc_path, kit.rt_path).items():
        path = kit.source / "docs" / name
        have = path.read_text() if path.exists() else ""
        diff = list(difflib.unified_diff(have.splitlines(), text.splitlines(), "docs/" + name,
                                         "the programs", lineterm="", n=0))
        if have != text:
            stale.append("\n".join(diff[:20]))
    check(not stale, "run python3 tests/system/pages.py --source . --bin DFMC DFM_RT\n%s",
          "\n".join(stale))


@case
def tour_shows_what_is_printed(kit):
    """Every line of G in the tour is a line of that stage."""
    text = (kit.source / "docs/tour.md").read_text()
    program = re.search(r"```dfm plan\n(.*?)```", text, re.S).group(1)
    kit.write("tour.dfm", program)
    for stage in ("graph", "grad"):
        section = re.search(r"\n## `--emit=%s`(.*?)\n## " % stage, text, re.S).group(1)
        shown = [line.strip() for line in section.splitlines() if line.startswith("    ")]
        printed = {line.strip() for line in kit.dfmc("tour.dfm", "--emit=" + stage).out.splitlines()}
        check(len(shown) > 4, "%s: %d lines", stage, len(shown))
        for line in shown:
            check(line in printed, "--emit=%s does not print\n%s", stage, line)


@case
def help_of_dfmc_lists_every_flag(kit):
    flags = flags_of((kit.source / "compiler/options.def").read_text(), "OPT", 0)
    check(len(flags) > 15, "the table has %d flags", len(flags))
    text = kit.dfmc("--help").out
    equal(kit.dfmc("help").out, text, "dfmc help")
    equal(kit.dfmc().out, text, "dfmc without words")
    for flag in flags:
        check(re.search(r"^  %s\b" % re.escape(flag), text, re.M), "no line for %s in:\n%s", flag, text)
    for code in ("0 done", "1 error in the program", "2 usage", "3 environment", "4 a bug"):
        check(code in text, "exit code '%s' is not in the help", code)


@case
def help_of_dfm_rt_lists_every_command_flag_and_key(kit):
    table = (kit.source / "runtime/app/options.def").read_text()
    commands = flags_of(table, "COMMAND", 0)
    parser = (kit.source / "runtime/app/options.c").read_text()
    letters = re.search(r'letters\[\] = "(\w+)"', parser).group(1)
    check(commands[:3] == ["train", "sample", "run"], "the table has commands %s", commands)
    text = kit.rt("--help").out
    equal(kit.rt("help").out, text, "dfm-rt help")
    for command in commands:
        check(re.search(r"^  %s " % command, text, re.M), "no line for %s in:\n%s", command, text)
        one = kit.rt("help", command).out
        if commands.index(command) < len(letters):
            equal(kit.rt(command, "--help").out, one, "dfm-rt %s --help" % command)
    for row in re.findall(r"^FLAG\((.*)\)\s*$", table, re.M):
        words = re.findall(r'"((?:[^"\\]|\\.)*)"', row)
        flag, users = words[0], words[-2]
        for command, letter in zip(commands, letters):
            known = re.search(r"^  %s\b" % re.escape(flag), kit.rt("help", command).out, re.M)
            equal(bool(known), letter in users, "%s in the help of %s" % (flag, command))
    config = kit.rt("help", "config").out
    for row in re.findall(r"^CONFIG\((\w+), +(\w+),", (kit.source / "runtime/app/config.def").read_text(), re.M):
        check("%s.%s" % row in config, "no key %s.%s in dfm-rt help config", *row)


@case
def every_code_is_explained(kit):
    codes = re.findall(r"^DIAG\((E\d{4}),", (kit.source / "compiler/diag.def").read_text(), re.M)
    check(len(codes) > 50, "%d codes", len(codes))
    for code in codes[::7]:
        kit.dfmc("explain", code).says(code)
    page = kit.dfmc("explain", "--all").out
    for code in codes:
        check("### %s: " % code in page, "%s is not on the page", code)
    kit.dfmc("explain", "E9999", code=2).says("no code", "E9999", "help:")


if __name__ == "__main__":
    main()
