"""From samples to a table: medians, ranges, ratios within a round, targets; as text and as JSON.

A machine has slow and quick minutes, so a ratio is always taken between two runs of one round,
and then the median of these. Nothing here starts a process or reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Mapping, Sequence


@dataclass(frozen=True)
class Metric:
    """One thing that is measured of each run; less is better."""

    key: str
    title: str
    digits: int = 2


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and the least and the greatest of them."""

    median: float
    least: float
    greatest: float

    @staticmethod
    def of(figures: Sequence[float]) -> Spread:
        """Panics where there is no figure."""
        return Spread(median(figures), min(figures), max(figures))

    def text(self, digits: int) -> str:
        """As in `1.98 (1.90-2.11)`."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.greatest:.{digits}f})"


@dataclass(frozen=True)
class Target:
    """What a contender is to reach in one metric.

    `at_most` times the best of the rivals (the one with the least median), or, without rivals,
    `at_most` in the metric's own unit.
    """

    contender: str
    metric: str
    at_most: float
    rivals: tuple[str, ...] = ()
    #: The rivals in a few words, as in "the best BitTorrent client".
    what: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target beside what was reached; `reached` is None where a run that it needs is missing."""

    target: Target
    metric: Metric
    rival: str | None
    reached: Spread | None

    def is_met(self) -> bool:
        """Whether the median is within the target."""
        return self.reached is not None and self.reached.median <= self.target.at_most

    def text(self) -> str:
        """One line: what was compared, what came out, and whether that was the aim."""
        target = self.target
        line = f"{target.contender}, {self.metric.title}"
        if target.rivals:
            line += f" / {target.what or self.rival}"
            line += f" ({self.rival})" if target.what and self.rival else ""
        if self.reached is None:
            return f"{line}: not measured"
        verdict = "met" if self.is_met() else "MISSED"
        return f"{line}: {self.reached.text(2)}, target {target.at_most:g}: {verdict}"


@dataclass
class Row:
    """A contender's samples, one a round; None for a round in which it failed."""

    name: str
    verifies: bool
    samples: list[Mapping[str, float] | None] = field(default_factory=list)
    failure: str | None = None

    def figures(self, metric: str) -> list[float]:
        """One metric over all rounds that have it."""
        return [sample[metric] for sample in self.samples if sample and metric in sample]

    def ratios(self, metric: str, to: Row) -> list[float]:
        """This row to another, round by round, where both have the metric."""
        pairs = zip(self.samples, to.samples)
        return [a[metric] / b[metric] for a, b in pairs
                if a and b and metric in a and b.get(metric)]


class Table:
    """All rows of one workload and variant. Ratios are to `reference`, a row's name."""

    def __init__(
        self, title: str, metrics: Sequence[Metric], reference: str,
        targets: Sequence[Target] = (), notes: Sequence[str] = (),
    ):
        self.title = title
        self.metrics = tuple(metrics)
        self.reference = reference
        self.targets = tuple(targets)
        self.notes = list(notes)
        self.rows: dict[str, Row] = {}

    def add(self, name: str, verifies: bool, sample: Mapping[str, float] | None) -> None:
        """Takes one run's sample. Every row gets one sample a round, None where it failed."""
        self.rows.setdefault(name, Row(name, verifies)).samples.append(sample)

    def fail(self, name: str, verifies: bool, reason: str) -> None:
        """A run of a row failed; the first reason is kept."""
        self.add(name, verifies, None)
        self.rows[name].failure = self.rows[name].failure or reason

    def verdicts(self) -> list[Verdict]:
        """What became of each target."""
        return [self._verdict(target) for target in self.targets]

    def has_failures(self) -> bool:
        """Whether a run failed. A missed target is none: it is a finding."""
        return any(row.failure for row in self.rows.values())

    def _verdict(self, target: Target) -> Verdict:
        metric = next(metric for metric in self.metrics if metric.key == target.metric)
        row = self.rows.get(target.contender)
        if row is None or not row.figures(metric.key):
            return Verdict(target, metric, None, None)
        if not target.rivals:
            return Verdict(target, metric, None, Spread.of(row.figures(metric.key)))
        rivals = [self.rows[name] for name in target.rivals if name in self.rows]
        rivals = [rival for rival in rivals if rival.figures(metric.key)]
        if not rivals:
            return Verdict(target, metric, None, None)
        best = min(rivals, key=lambda rival: median(rival.figures(metric.key)))
        ratios = row.ratios(metric.key, best)
        return Verdict(target, metric, best.name, Spread.of(ratios) if ratios else None)

    def text(self) -> str:
        """The table as people read it."""
        reference = self.rows.get(self.reference)
        head = ["", "verifies"]
        for metric in self.metrics:
            head += [metric.title, "ratio"]
        lines = [head]
        for row in self.rows.values():
            line = [row.name, "yes" if row.verifies else "no"]
            for metric in self.metrics:
                figures = row.figures(metric.key)
                line.append(Spread.of(figures).text(metric.digits) if figures else "-")
                ratios = row.ratios(metric.key, reference) if reference else []
                line.append(f"{median(ratios):.2f}" if ratios else "-")
            lines.append(line)
        rounds = max((len(row.samples) for row in self.rows.values()), default=0)
        text = [f"\n== {self.title}"]
        text += [f"   {rounds} rounds; median (range); ratio to {self.reference}"]
        text += aligned(lines)
        text += [f"FAILED: {row.name}: {row.failure}" for row in self.rows.values() if row.failure]
        text += [verdict.text() for verdict in self.verdicts()]
        return "\n".join(text + self.notes)

    def json(self) -> dict:
        """Every sample, and what follows from them."""
        reference = self.rows.get(self.reference)
        return {
            "title": self.title,
            "reference": self.reference,
            "notes": self.notes,
            "rows": [
                {
                    "name": row.name,
                    "verifies": row.verifies,
                    "failure": row.failure,
                    "samples": row.samples,
                    "median": {m.key: median(row.figures(m.key))
                               for m in self.metrics if row.figures(m.key)},
                    "ratio": {m.key: median(ratios) for m in self.metrics if reference
                              and (ratios := row.ratios(m.key, reference))},
                }
                for row in self.rows.values()
            ],
            "targets": [
                {
                    "text": verdict.text(),
                    "at_most": verdict.target.at_most,
                    "reached": verdict.reached and verdict.reached.median,
                    "met": verdict.is_met() if verdict.reached else None,
                }
                for verdict in self.verdicts()
            ],
        }


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side: the first to the left, all others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    text = []
    for first, *others in lines:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        text.append("  ".join(cells).rstrip())
    return text
