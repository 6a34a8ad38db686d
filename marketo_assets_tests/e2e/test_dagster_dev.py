"""The pump under a real `dagster dev` with its daemon.

Guards against: a sensor that works in a test and not under the daemon, a failed file that cannot be run again from the
UI, pools that never free their slot.
"""

from marketo_assets_tests.e2e.conftest import Platform


def test_a_file_nobody_announced_fails_is_run_again_from_the_ui_and_arrives(platform: Platform) -> None:
    platform.put("by hand.csv", b"email_address,first_name\nada@example.com,Ada\nbob@example.com,Bob\n")
    platform.until("the sensor's run", lambda: bool(platform.partitions_of_failed_runs()))
    (partition,) = platform.partitions_of_failed_runs()
    assert partition.startswith("by%20hand.csv@")
    assert platform.emails() == []
    platform.launch_backfill("contacts/leads", partition)
    platform.until("the second run", lambda: platform.files().get("by hand.csv") == "done")
    assert platform.emails() == ["ada@example.com", "bob@example.com"]
    statuses = platform.warehouse.rows("select status from LEAD_SYNC_RESULTS where file = 'by hand.csv'")
    assert [row["status"] for row in statuses] == ["created", "created"]


def test_files_that_arrive_together_are_all_taken_through_the_sensor_alone(platform: Platform) -> None:
    names = [f"together/{number}.csv" for number in range(2)]
    for number, name in enumerate(names):
        platform.put(name, f"email_address,first_name\nfile{number}@example.com,File\n".encode())
    platform.until("both", lambda: all(platform.files().get(name) == "done" for name in names))
    assert {f"file{number}@example.com" for number in range(2)} <= set(platform.emails())
    rows = platform.warehouse.rows(
        "select file, status from LEAD_SYNC_RESULTS where file like 'together/%%' order by file"
    )
    assert [(row["file"], row["status"]) for row in rows] == [(name, "created") for name in names]
