"""Which files are new, and the names they go by in Dagster.

Guards against: files that are lost (several in one second, overwritten, too many at once) or taken twice, and names
that do not survive being a partition key.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketo_assets.pump.files import ListedFile, file_version, new_files

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
A, B = "a" * 32, "b" * 32
ODD_NAMES = [
    "plain.csv",
    "with space.csv",
    "two  spaces .csv.gz",
    'quote\'s "double".csv',
    "größe-名前-🎉.csv",
    "dots...in....name.csv",
    "comma,semicolon;.csv",
    "at@20260302T120000Z-aaaaaaaa.csv",
    "100%25 %2F.csv",
    "new\nline\ttab\x07.csv",
    "folder/sub folder/part-00000.csv",
    "a+b=c&d?e#f.csv",
    "[brackets]{braces}|pipe\\backslash.csv",
]


def listed(path: str, etag: str = A, seconds: float = 0) -> ListedFile:
    return ListedFile(path, etag, NOON + timedelta(seconds=seconds))


class Sensor:
    """Ticks one after the other; what was asked for has a run at the next tick."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.started: set[str] = set()
        self.failed: set[str] = set()
        self.waiting = 0

    def tick(self, *listing: ListedFile, at_most: int = 50) -> list[str]:
        found = new_files(listing, self.known, self.started, has_failed=self.failed.__contains__, at_most=at_most)
        self.known.update(found.runs)
        self.started.update(found.runs)
        self.waiting = found.waiting
        return list(found.runs)


def test_several_files_of_one_second_are_all_taken_once_oldest_first() -> None:
    sensor = Sensor()
    files = [listed("z.csv", seconds=0), listed("b.csv", seconds=1), listed("a.csv", seconds=1)]
    assert [file_version(key).path for key in sensor.tick(*files)] == ["z.csv", "a.csv", "b.csv"]
    assert sensor.tick(*files) == []
    assert [file_version(key).path for key in sensor.tick(*files, listed("c.csv", seconds=1))] == ["c.csv"]


def test_new_content_under_an_old_name_is_new_and_the_same_content_is_not() -> None:
    sensor = Sensor()
    assert len(sensor.tick(listed("f.csv", A))) == 1
    assert sensor.tick(listed("f.csv", A, 60)) == []
    assert len(sensor.tick(listed("f.csv", B, 120))) == 1
    assert len(sensor.tick(listed("f.csv", A, 180))) == 1, "A, B, A: the last A must undo B"
    assert sensor.tick(listed("f.csv", A, 240)) == []


def test_a_file_whose_run_failed_and_that_is_put_back_is_new_although_it_is_the_same() -> None:
    sensor = Sensor()
    (failed,) = sensor.tick(listed("f.csv", A))
    assert sensor.tick() == []
    sensor.failed.add(failed)
    assert sensor.tick(listed("f.csv", A)) == [], "a failed file waits for a person"
    assert len(sensor.tick(listed("f.csv", A, 60))) == 1, "somebody has put it back"


@pytest.mark.parametrize(("first", "second"), [(A, B), (B, A)])
def test_content_overwritten_within_a_second_is_taken_and_so_is_the_first_content_later(
    first: str, second: str
) -> None:
    sensor = Sensor()
    assert len(sensor.tick(listed("f.csv", first))) == 1
    assert len(sensor.tick(listed("f.csv", second))) == 1
    assert sensor.tick(listed("f.csv", second)) == []
    assert len(sensor.tick(listed("f.csv", first, 60))) == 1


def test_a_file_deleted_before_its_run_is_not_asked_for_and_does_not_hold_up_others() -> None:
    sensor = Sensor()
    sensor.tick(listed("f.csv"))
    assert sensor.tick() == []
    assert len(sensor.tick(listed("g.csv"))) == 1


def test_a_partition_that_was_added_but_never_started_is_asked_for_again() -> None:
    file = listed("f.csv")
    assert new_files([file], {file.partition_key}, set(), has_failed=lambda _: False, at_most=50).runs == (
        file.partition_key,
    )


def test_5000_at_once_are_taken_a_tick_at_a_time_and_none_is_lost() -> None:
    sensor = Sensor()
    files = [listed(f"{number:05d}.csv", seconds=number % 7) for number in range(5000)]
    taken: list[str] = []
    for tick in range(10):
        runs = sensor.tick(*files, at_most=500)
        assert len(runs) == 500
        assert sensor.waiting == 5000 - 500 * (tick + 1)
        taken += runs
    assert sensor.tick(*files) == []
    assert len(set(taken)) == 5000


def test_partitions_of_another_form_are_passed_over() -> None:
    assert (
        len(
            new_files(
                [listed("f.csv")], ["by-hand", "f.csv@x"], ["by-hand"], has_failed=lambda _: False, at_most=5
            ).runs
        )
        == 1
    )
    with pytest.raises(ValueError, match="not a file's partition"):
        file_version("by-hand")


def _is_fit_for_dagster(key: str) -> bool:
    return "..." not in key and "," not in key and all(letter.isprintable() and letter.isascii() for letter in key)


@pytest.mark.parametrize("path", ODD_NAMES)
def test_odd_names_survive_as_partition_keys(path: str) -> None:
    key = listed(path).partition_key
    assert file_version(key).path == path
    assert file_version(key).version == "20260302T120000Z-aaaaaaaa"
    assert _is_fit_for_dagster(key)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(path=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_any_name_survives_as_a_partition_key(path: str) -> None:
    key = listed(path).partition_key
    assert file_version(key).path == path
    assert _is_fit_for_dagster(key)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("fg"), st.sampled_from([A, B]), st.integers(0, 2)), max_size=8))
def test_whatever_is_put_the_last_content_of_each_file_is_the_last_one_taken(
    puts: Iterable[tuple[str, str, int]],
) -> None:
    sensor, now = Sensor(), 1.0
    there: dict[str, ListedFile] = {}
    last_taken: dict[str, str] = {}
    for name, etag, pause in puts:
        now += pause
        if listed(name, etag, now).partition_key in sensor.known:
            continue  # S3 tells whole seconds: content put back within one is beyond what can be seen
        there[name] = listed(name, etag, now)
        for key in sensor.tick(*there.values()):
            file = file_version(key)
            last_taken[file.path] = file.version.split("-")[1]
    assert last_taken == {name: file.etag[:8] for name, file in there.items()}
