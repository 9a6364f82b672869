#!/usr/bin/env python3
"""test_compare.py ROOT: the parts of benchmarks/cpu_vs_pytorch that need no PyTorch."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(sys.argv.pop(1))
HERE = ROOT / "benchmarks/cpu_vs_pytorch"
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

import compare
import shapes
import sides
import stats


class Stats(unittest.TestCase):
    def test_summary(self):
        s = stats.summary([4.0, 1.0, 2.0, 3.0, 5.0])
        self.assertEqual((s["n"], s["min"], s["median"]), (5, 1.0, 3.0))
        self.assertAlmostEqual(s["spread"], (4 - 2) / 3)
        self.assertRaises(ValueError, stats.summary, [])

    def test_ratios(self):
        r = stats.ratios([1.0, 2.0, 4.0], [2.0, 3.0, 4.0])
        self.assertEqual((r["median"], r["min"]), (1.5, 2.0))
        self.assertAlmostEqual(r["low"], 1.25)           # of pairs 2, 1.5, 1
        self.assertNotIn("low", stats.ratios([1.0], [2.0, 3.0]))

    def test_better(self):
        self.assertEqual(stats.better({"eager": [1.0, 9.0, 9.0], "compiled": [5.0, 5.0, 5.0]}), "compiled")

    def test_table(self):
        self.assertEqual(stats.table(["a", "b"], [["1", "2"]]), ["| a | b |", "| --- | --- |", "| 1 | 2 |"])


class Shapes(unittest.TestCase):
    def test_products_are_the_most_of_a_step(self):
        for size, (_, depth, _) in shapes.SIZES.items():
            products = sum(2 * m * n * k for m, n, k, _ in shapes.products(size, 8)) * depth
            share = products / shapes.model_flops(size, 8, True)
            self.assertTrue(0.8 < share < 1, (size, share))

    def test_formula(self):
        """DiT-S/2: 6.06 GMAC for a picture forward (the paper); three times that, and a little."""
        self.assertAlmostEqual(shapes.model_flops("S/2", 1, False) / 2e9, 6.06, delta=0.06)
        self.assertTrue(3 < shapes.model_flops("S/2", 1, True) / shapes.model_flops("S/2", 1, False) < 3.1)


class Command(unittest.TestCase):
    def test_help_and_wrong_words(self):
        self.assertRaises(SystemExit, compare.arguments, ["S/3"])
        self.assertRaises(SystemExit, compare.arguments, ["S/2", "--rounds", "0"])
        self.assertEqual(compare.arguments([]).configs, ["S/2", "B/2", "sample"])
        p = subprocess.run([HERE / "run.sh", "--help"], capture_output=True, text=True,
                           env={**os.environ, "PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"})
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("--rounds", p.stdout)

    def test_a_process(self):
        """Talks by lines, is watched, and says why it ended."""
        script = "import json\nfor line in iter(input, 'stop'): print(json.dumps({'got': line}), flush=True)"
        log = Path(os.environ.get("TMPDIR", "/tmp")) / ("compare-%d.log" % os.getpid())
        try:
            p = sides.Process("echo", [sys.executable, "-c", script], log)
            self.assertEqual(p.tell("run 3"), {"got": "run 3"})
            p.baseline()
            peak, beyond = p.memory()
            self.assertTrue(peak > 2 ** 20 and abs(beyond) < 2 ** 24, (peak, beyond))
            with self.assertRaises(sides.Failure) as failure:
                p.tell("stop")
            self.assertIn("echo ended", str(failure.exception))
            p.close()
        finally:
            log.unlink(missing_ok=True)

    def test_differences_stop_it(self):
        class Side:
            name = "eager"
            def prove(self, results):
                return {"loss": 1e-6, "grad": float(results), "where": "w"}
        self.assertEqual(compare.prove(None, Side(), "1e-5", 1e-4)["grad"], 1e-5)
        self.assertRaises(sides.Failure, compare.prove, None, Side(), "2e-4", 1e-4)
        self.assertRaises(sides.Failure, compare.prove, None, Side(), "nan", 1e-4)

    def test_disturbed_turns_are_repeated(self):
        turns = iter([([9.0], 0.5), ([1.0], 0.01), ([7.0], 0.0)])
        kept, compare.one_turn = compare.one_turn, lambda side, n: next(turns)
        try:
            o = compare.arguments(["S/2"])
            self.assertEqual(compare.quiet_turn(o, None, 1), ([1.0], 0.01))
        finally:
            compare.one_turn = kept


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)
