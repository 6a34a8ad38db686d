"""How many calls changed contacts cost, and contacts that have not changed."""

from collections import Counter
from math import ceil

from bench.contacts import clean_contacts, load_table
from bench.results import Bound, Measurement
from bench.stand_ins import Place, place, stand_ins
from marketo_assets.marketo.leads import LEADS_PATH
from marketo_assets.pump.rows import MAX_BATCH_ROWS
from marketo_assets.sandbox.contacts import SOURCE_TABLE, open_warehouse

ROWS, QUICK_ROWS = 100_000, 900
MOST_OVER = 1.02


def measure(*, quick: bool) -> Measurement:
    """Drop and leads for new contacts, then drop again with nothing changed; calls counted by the client."""
    rows = QUICK_ROWS if quick else ROWS
    with stand_ins() as environment:
        with open_warehouse(environment) as warehouse:
            load_table(warehouse, SOURCE_TABLE, clean_contacts(rows))
        print(f"  {rows:,} contacts are in the warehouse", flush=True)
        with place(environment) as here:
            changed, exported = _pump(here)
        with place(environment) as here:
            unchanged, exported_again = _pump(here)
    assert exported == rows
    assert exported_again == 0
    least, calls = ceil(rows / MAX_BATCH_ROWS), sum(changed.values())
    return Measurement(
        title="calls per changed contact",
        bounds=(
            Bound(f"calls for {rows:,} changed contacts", calls, "at most", MOST_OVER * least, ""),
            Bound("write calls with nothing changed", unchanged.get(LEADS_PATH, 0), "at most", 0, ""),
        ),
        arithmetic=(
            (
                f"{rows:,} contacts / {MAX_BATCH_ROWS} in a call = {least} calls at the least;"
                f" {MOST_OVER:g} x {least} = {MOST_OVER * least:.1f}."
            ),
            f"Counted by the client over one drop and the run of its file, whatever they were for: {calls}.",
            (
                f"The same drop again, nothing changed: {exported_again} rows exported, no file, no run;"
                f" {unchanged.get(LEADS_PATH, 0)} write calls, {sum(unchanged.values())} others."
            ),
        ),
        figures={"calls by endpoint, changed": changed, "calls by endpoint, nothing changed": unchanged},
    )


def _pump(here: Place) -> tuple[dict[str, int], int]:
    """A drop and a run for each file that is new by it; the calls made, and the rows exported."""
    before = Counter(here.partitions())
    exported = here.drop()["dagster/row_count"]
    for partition in Counter(here.partitions()) - before:
        here.leads(partition)
    return here.marketo.calls(), int(exported)
