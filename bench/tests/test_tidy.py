"""Holds the layout of these files, as `crates/e2e/tests/tidy.rs` does for Rust."""

import ast
import unittest
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
LINE_LEN_MAX = 100
LINES_MAX = 300


class Tidy(unittest.TestCase):
    """Every Python file here."""

    def test_files_and_lines_are_short(self):
        for path in BENCH.rglob("*.py"):
            lines = path.read_text(encoding="utf-8").splitlines()
            self.assertLess(len(lines), LINES_MAX, path)
            for number, line in enumerate(lines, start=1):
                self.assertLessEqual(len(line), LINE_LEN_MAX, f"{path}:{number}")

    def test_every_file_says_first_what_it_is_for(self):
        for path in BENCH.rglob("*.py"):
            module = ast.parse(path.read_text(encoding="utf-8"))
            self.assertTrue(ast.get_docstring(module), path)


if __name__ == "__main__":
    unittest.main()
