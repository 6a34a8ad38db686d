"""Peak memory of a run over one file: a large one against a small one, for `contacts/drop` and `contacts/leads`."""

from typing import Any

from bench.contacts import dirty_contacts, load_table
from bench.results import Bound, Measurement
from bench.run_asset import in_own_process
from bench.stand_ins import place, stand_ins
from marketo_assets.sandbox.contacts import SOURCE_TABLE, open_warehouse

SIZES, QUICK_SIZES = (100_000, 1_000_000), (300, 300)
MOST_GROWTH = 1.2
MOST_MB = 500
MEGABYTE = 1_000_000


def measure(*, quick: bool) -> Measurement:
    """Both assets over one file of each size, each in a process of its own, limits off."""
    small, large = QUICK_SIZES if quick else SIZES
    runs = {rows: _runs(rows) for rows in dict.fromkeys((small, large))}
    peaks = {asset: [runs[rows][asset]["peak"] / MEGABYTE for rows in (small, large)] for asset in ("drop", "leads")}
    growth = {asset: peak[1] / peak[0] for asset, peak in peaks.items()}
    return Measurement(
        title="peak memory of one run",
        bounds=(
            Bound(f"leads: {large:,} rows against {small:,}", growth["leads"], "at most", MOST_GROWTH, "x"),
            Bound(f"leads: {large:,} rows", peaks["leads"][1], "at most", MOST_MB, "MB"),
            Bound(f"drop: {large:,} rows against {small:,}", growth["drop"], "at most", MOST_GROWTH, "x"),
            Bound(f"drop: {large:,} rows", peaks["drop"][1], "at most", MOST_MB, "MB"),
        ),
        arithmetic=(
            (
                "The whole path in a process of its own, Dagster and the connectors included: contact table, drop to"
                " one CSV file of that many rows and 57 columns on S3, file to leads, ledger and rejects file."
                " Limits off. MALLOC_ARENA_MAX=2 and MALLOC_TRIM_THRESHOLD_=1000000, as docs/deployment.md says, or"
                " threads keep what they have freed."
            ),
            *(
                f"{asset}: {peaks[asset][1]:.0f} MB / {peaks[asset][0]:.0f} MB = {growth[asset]:.2f}"
                for asset in ("leads", "drop")
            ),
            (
                "Contacts with real-world dirt. Files of this project's own drop hold 100,000 rows at most"
                " (max_rows_per_file); here the bound is lifted."
            ),
        ),
        figures={
            f"{asset}, {rows:,} contacts": {
                "peak MB": runs[rows][asset]["peak"] / MEGABYTE,
                "MB before the run began": runs[rows][asset]["before"] / MEGABYTE,
                "rows": runs[rows][asset]["dagster/row_count"],
                "seconds": runs[rows][asset]["seconds"],
            }
            for rows in (small, large)
            for asset in ("drop", "leads")
        },
    )


def _runs(rows: int) -> dict[str, dict[str, Any]]:
    with stand_ins(rows_per_file=rows) as environment:
        with open_warehouse(environment) as warehouse:
            load_table(warehouse, SOURCE_TABLE, dirty_contacts(rows))
        print(f"  {rows:,} contacts are in the warehouse", flush=True)
        drop = in_own_process(environment, "drop")
        print(f"  drop: {drop['seconds']:.0f} s, {drop['peak'] / MEGABYTE:.0f} MB", flush=True)
        with place(environment) as here:
            (partition,) = here.partitions()
        leads = in_own_process(environment, "leads", partition)
        print(f"  leads: {leads['seconds']:.0f} s, {leads['peak'] / MEGABYTE:.0f} MB", flush=True)
        return {"drop": drop, "leads": leads}
