"""What one cycle did with the companies or one custom object: the counts that checks and metadata are made of."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from marketo_assets.marketo.records import Relationship
from marketo_assets.sync.objects_ledger import ObjectResult
from marketo_assets.warehouse.session import Row

OUTCOMES = ("unchanged", "created", "updated", "rejected", "waiting", "unsent")
"""How a row of the source ends."""


@dataclass
class ObjectReport:
    """What became of every row of the source. Counts, codes and names only, never a value."""

    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    """Rows of the source by OUTCOMES; beside them, deleted and undeleted records."""
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of what was not done, by outcome and code."""
    gone: int = 0
    """Records that are, or may be, in Marketo, and whose row is gone."""
    there: int = 0
    """Records that are, or may be, in Marketo."""
    held_back: str | None = None
    """Why nothing was deleted, and what to do."""
    waiting_long: int = 0
    problems: tuple[str, ...] = ()
    """Why nothing was sent."""
    left_out: tuple[str, ...] = ()
    relationships: tuple[Relationship, ...] = ()
    sample: Sequence[Row] = ()

    @property
    def is_accounted_for(self) -> bool:
        """Conservation: every row of the source has ended in exactly one way."""
        return sum(self.counts[outcome] for outcome in OUTCOMES) == self.rows

    def add(self, results: Iterable[ObjectResult]) -> None:
        """Count results."""
        for result in results:
            self.counts[result.outcome] += 1
            if result.code:
                self.codes[result.outcome, result.code] += 1
