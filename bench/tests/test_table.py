"""Tests of the arithmetic behind the tables; they start nothing."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from table import Metric, Spread, Table, Target  # noqa: E402: found through the line above


def table(*targets: Target) -> Table:
    """Three rounds, in which the machine becomes slower and slower; `slow` fails in the last."""
    made = Table("A title", [Metric("s", "wall s")], "quick", targets)
    for second in (1.0, 2.0, 4.0):
        made.add("quick", False, {"s": second})
        made.add("half", True, {"s": 2 * second})
    made.add("slow", True, {"s": 5.0})
    made.add("slow", True, {"s": 8.0})
    made.fail("slow", True, "it fell over")
    return made


class Tables(unittest.TestCase):
    """Medians, ratios, verdicts, and what is printed of them."""

    def test_a_spread_is_the_median_and_the_range(self):
        self.assertEqual(Spread.of([3.0, 1.0, 2.0]), Spread(2.0, 1.0, 3.0))
        self.assertEqual(Spread.of([3.0, 1.0, 2.0]).text(1), "2.0 (1.0-3.0)")

    def test_ratios_are_taken_within_a_round(self):
        rows = table().rows
        self.assertEqual(rows["half"].ratios("s", rows["quick"]), [2.0, 2.0, 2.0])

    def test_a_round_that_failed_has_no_ratio(self):
        rows = table().rows
        self.assertEqual(rows["slow"].ratios("s", rows["quick"]), [5.0, 4.0])
        self.assertEqual(rows["quick"].ratios("s", rows["slow"]), [0.2, 0.25])

    def test_a_target_is_measured_against_the_best_rival(self):
        against_both = table(Target("quick", "s", 0.5, ("slow", "half")))
        verdict = against_both.verdicts()[0]
        self.assertEqual((verdict.rival, verdict.reached.median), ("half", 0.5))
        self.assertTrue(verdict.is_met())
        self.assertFalse(table(Target("quick", "s", 0.4, ("half",))).verdicts()[0].is_met())

    def test_a_target_without_rivals_is_in_the_metrics_own_unit(self):
        self.assertTrue(table(Target("quick", "s", 2.0)).verdicts()[0].is_met())
        self.assertFalse(table(Target("quick", "s", 1.9)).verdicts()[0].is_met())

    def test_a_target_whose_contender_did_not_run_is_not_met(self):
        made = table(Target("absent", "s", 9.0), Target("quick", "s", 9.0, ("absent",)))
        self.assertEqual([verdict.is_met() for verdict in made.verdicts()], [False, False])
        self.assertIn("not measured", made.text())

    def test_a_run_that_failed_is_a_failure_and_a_missed_target_is_none(self):
        self.assertTrue(table().has_failures())
        made = Table("A title", [Metric("s", "wall s")], "quick", [Target("quick", "s", 1.0)])
        made.add("quick", False, {"s": 1.1})
        self.assertFalse(made.has_failures())
        self.assertTrue(made.text().endswith("quick, wall s: 1.10 (1.10-1.10), target 1: MISSED"))

    def test_the_text_shows_every_row_and_why_one_failed(self):
        shown = table().text().splitlines()
        self.assertEqual(shown[-1], "FAILED: slow: it fell over")
        self.assertEqual(shown[-4].split(), ["quick", "no", "2.00", "(1.00-4.00)", "1.00"])
        self.assertEqual(shown[-2].split(), ["slow", "yes", "6.50", "(5.00-8.00)", "4.50"])

    def test_the_json_holds_every_sample(self):
        document = json.loads(json.dumps(table(Target("half", "s", 3.0, ("quick",))).json()))
        self.assertEqual(document["rows"][1]["samples"], [{"s": 2.0}, {"s": 4.0}, {"s": 8.0}])
        self.assertEqual(document["rows"][2]["samples"][2], None)
        self.assertEqual(document["rows"][1]["ratio"], {"s": 2.0})
        self.assertEqual(document["targets"][0]["met"], True)


if __name__ == "__main__":
    unittest.main()
