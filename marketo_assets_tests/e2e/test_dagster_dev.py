"""The pump under a real `dagster dev` with its daemon.

Guards against: a sensor that works in a test and not under the daemon, a failed file that cannot be run again from the
UI, pools that never free their slot.
"""

from urllib.parse import unquote

from marketo_assets_tests.e2e.conftest import Platform


def test_of_files_nobody_announced_one_fails_the_other_goes_on_and_it_is_run_again_by_hand(
    platform: Platform,
) -> None:
    files = {
        "by hand.csv": ["ada@example.com", "bob@example.com"],
        "by%hand.csv": ["cyd@example.com", "dan@example.com"],
    }
    for name, emails in files.items():
        platform.put(name, "\n".join(["email_address,first_name", *(f"{email},A" for email in emails), ""]).encode())
    platform.until("the sensor's runs", lambda: bool(platform.partitions_of_failed_runs()) and platform.emails() != [])
    (partition,) = platform.partitions_of_failed_runs()
    failed = unquote(partition.rpartition("@")[0])
    assert platform.emails() == sorted(email for name in files.keys() - {failed} for email in files[name])
    platform.launch_backfill("contacts/leads", partition)
    platform.until("the second run", lambda: platform.files().get(failed) == "done")
    assert platform.emails() == sorted(email for emails in files.values() for email in emails)
    results = platform.warehouse.rows("select file, status from LEAD_SYNC_RESULTS order by file")
    expected = [(name, "created") for name in sorted(files) for _ in files[name]]
    assert [(row["file"], row["status"]) for row in results] == expected
