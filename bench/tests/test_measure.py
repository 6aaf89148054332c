"""Tests of what is measured and compared, with processes of some milliseconds."""

import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ballast  # noqa: E402: found through the line above
import files  # noqa: E402
from measure import Failed, Group  # noqa: E402


class Measuring(unittest.TestCase):
    """A group's clock, its CPU seconds, and how it fails."""

    def test_cpu_seconds_of_grandchildren_count(self):
        burn = f"{sys.executable} -c 'import time\nwhile time.process_time() < 0.15: pass'; true"
        with Group() as group:
            group.start(["sh", "-c", burn])
            group.wait()
        self.assertGreaterEqual(group.cpu_s, 0.15)
        self.assertGreater(group.wall_s, 0.1)

    def test_a_program_that_fails_tells_why(self):
        with self.assertRaisesRegex(Failed, "sh ended with 3: no such luck"), Group() as group:
            group.start(["sh", "-c", "echo no such luck; exit 3"])
            group.wait()

    def test_a_program_that_goes_on_is_ended_when_another_has_said_the_word(self):
        with Group() as group:
            process = group.start(["sh", "-c", "echo complete; exec sleep 60"])
            group.wait_for("complete", [process])
        self.assertIsNotNone(process.returncode)
        self.assertLess(group.wall_s, 5)

    def test_a_program_that_ends_without_the_word_has_failed(self):
        with self.assertRaisesRegex(Failed, "too early: oh"), Group() as group:
            group.wait_for("complete", [group.start(["echo", "oh"])])


class Holding(unittest.TestCase):
    """Memory that is in use until a run needs it."""

    def test_a_ballast_is_let_go_as_the_run_writes(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as tmpfs:
            length = ballast.AHEAD + 2 * ballast.PART
            with ballast.Ballast(Path(tmpfs), length) as held:
                self.assertEqual(held.held(), 2 * ballast.PART)
                (Path(tmpfs) / "copy").write_bytes(bytes(2 * ballast.PART))
                deadline = time.monotonic() + 10
                while held.held() and time.monotonic() < deadline:
                    time.sleep(ballast.LOOK_S)
                self.assertEqual(held.held(), 0)

    def test_a_run_that_writes_little_needs_no_ballast(self):
        with ballast.Ballast(Path("/dev/shm"), 1000) as held:
            self.assertEqual(held.held(), 0)


class Comparing(unittest.TestCase):
    """Files and trees, byte for byte."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)

    def test_equal_files_are_equal_and_one_byte_is_a_difference(self):
        original = files.random_file(self.root / "a", 100_000)
        copy = self.root / "b"
        content = bytearray(original.read_bytes())
        copy.write_bytes(content)
        files.must_equal(original, [copy, copy])
        content[-1] ^= 1
        copy.write_bytes(content)
        with self.assertRaises(Failed):
            files.must_equal(original, [original, copy])

    def test_a_tree_with_a_file_less_more_or_other_is_a_difference(self):
        for tree in ("original", "copy"):
            for name in ("x/one", "y/two"):
                path = self.root / tree / name
                path.parent.mkdir(parents=True)
                path.write_text(name)
        original, copy = self.root / "original", self.root / "copy"
        files.must_equal(original, [copy])
        for change in (lambda p: p.write_text("x/onE"), Path.unlink):
            change(copy / "x/one")
            with self.assertRaises(Failed):
                files.must_equal(original, [copy])
        (copy / "x/one").write_text("x/one")
        (copy / "more").touch()
        with self.assertRaises(Failed):
            files.must_equal(original, [copy])


if __name__ == "__main__":
    unittest.main()
