"""CSV files on S3: their names, which of them are new, fetching one, putting one there.

A file is known by its path below the pump's prefix, one content of it by time and ETag. Both together are the
partition key, so what is new follows from the listing and the partitions alone, without a cursor to lose.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from botocore.exceptions import ClientError

from marketo_assets.pump.ledger import FileVersion
from marketo_assets.pump.reader import CsvFile, FileRefusedError, store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REJECTS_FOLDER: Final = "_rejects"
_SUFFIXES: Final = (".csv", ".csv.gz")
_ETAG_LETTERS: Final = 8

ROW_COUNT, SHA256 = "row-count", "sha256"
"""Object metadata by which a producer says what a file holds; the drop always does, others may."""


class FileGoneError(Exception):
    """The file, or this content of it, was removed or overwritten before its run."""


@dataclass(frozen=True)
class ListedFile:
    """An object as S3 lists it."""

    path: str
    """Below the pump's prefix."""
    etag: str
    last_modified: datetime

    @property
    def partition_key(self) -> str:
        """Path (percent-encoded, as Dagster takes no control characters, commas or dots in threes), time, ETag."""
        path = quote(self.path, safe="/-_.~=+ ()").replace("...", "%2E%2E%2E").replace(" ", "%20")
        return f"{path}@{self.last_modified.astimezone(UTC):%Y%m%dT%H%M%SZ}-{self.etag[:_ETAG_LETTERS]}"


_PARTITION_KEY = re.compile(r"(?P<path>.+)@(?P<version>\d{8}T\d{6}Z-(?P<etag>[^@-]+))")


def file_version(partition_key: str) -> FileVersion:
    """The file and the content of it that a partition stands for. Raises ValueError for a key of another form."""
    match = _PARTITION_KEY.fullmatch(partition_key)
    if match is None:
        message = f"{partition_key!r} is not a file's partition; expected <path>@<time>-<ETag>, as the sensor adds them"
        raise ValueError(message)
    return FileVersion(unquote(match["path"]), match["version"])


@dataclass(frozen=True)
class NewFiles:
    """What a sensor tick asks for."""

    runs: tuple[str, ...]
    """Partition keys, oldest first."""
    waiting: int
    """How many more are new, left to the next tick."""


def new_files(
    listing: Iterable[ListedFile],
    known: Iterable[str],
    started: Iterable[str],
    *,
    has_failed: Callable[[str], bool],
    at_most: int,
) -> NewFiles:
    """Decide which files become runs.

    `known` are the partitions there are, `started` those of them that have a run. New is a path never seen, a path
    whose content is not the last one seen, and a partition that was added but never started (the daemon was killed
    between the two). The same content put there again is new only if its run has failed: somebody has mended it.
    """
    known, started = set(known), set(started)
    last_seen = _last_seen(known)
    new = []
    for listed in sorted(listing, key=lambda file: (file.last_modified, file.path)):
        key, last = listed.partition_key, last_seen.get(listed.path, {})
        is_last_content = set(last) == {listed.etag[:_ETAG_LETTERS]}
        if key in started or (key not in known and is_last_content and not has_failed(next(iter(last.values())))):
            continue
        new.append(key)
    return NewFiles(tuple(new[:at_most]), len(new[at_most:]))


def _last_seen(partition_keys: Iterable[str]) -> dict[str, dict[str, str]]:
    """By path, the partitions of its last second by ETag: of two within one second nobody can tell which came last."""
    seconds: dict[str, dict[str, dict[str, str]]] = {}
    for key in partition_keys:
        if _PARTITION_KEY.fullmatch(key):
            file = file_version(key)
            second, etag = file.version.split("-", 1)
            seconds.setdefault(file.path, {}).setdefault(second, {})[etag] = key
    return {path: by_second[max(by_second)] for path, by_second in seconds.items()}


@dataclass(frozen=True)
class Bucket:
    """The pump's folder on S3."""

    client: "S3Client"
    name: str
    prefix: str
    """Ends in a slash."""

    def list_files(self) -> Iterator[ListedFile]:
        """Every CSV file below the prefix, whoever put it there, but for the rejects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix)
        for page in pages:
            for item in page.get("Contents", []):
                path = item["Key"].removeprefix(self.prefix)
                if path.lower().endswith(_SUFFIXES) and not path.startswith(f"{REJECTS_FOLDER}/"):
                    yield ListedFile(path, item["ETag"].strip('"'), item["LastModified"])

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        try:
            self.client.head_object(Bucket=self.name, Key=self.prefix + path)
        except ClientError as error:
            if _is_missing(error):
                return False
            raise
        return True

    @contextmanager
    def fetched(self, file: FileVersion) -> Iterator[CsvFile]:
        """The file's content on the local disk, checked against the SHA-256 in its metadata where there is one.

        Raises FileGoneError when it is not there any more, FileRefusedError when it cannot be read or believed.
        """
        try:
            answer = self.client.get_object(Bucket=self.name, Key=self.prefix + file.path)
        except ClientError as error:
            if not _is_missing(error):
                raise
            message = "the file was removed before its run; nothing of it was sent. Put it back to have it taken"
            raise FileGoneError(message) from None
        if not answer["ETag"].strip('"').startswith(file.version.rsplit("-", 1)[1]):
            answer["Body"].close()
            message = "the file was overwritten before its run; its present content is a partition of its own"
            raise FileGoneError(message)
        with TemporaryDirectory(prefix="marketo_assets_") as folder:
            csv_file = store(
                answer["Body"],  # type: ignore[arg-type]  # a StreamingBody reads like a file
                Path(folder) / "rows.csv",
                compressed=file.path.lower().endswith(".gz"),
            )
            metadata = answer["Metadata"]
            declared = metadata.get(SHA256)
            if declared is not None and declared != csv_file.sha256:
                message = f"the file's SHA-256 is {csv_file.sha256}, its metadata says {declared}; upload it again"
                raise FileRefusedError(message)
            rows = metadata.get(ROW_COUNT)
            if rows is not None and not re.fullmatch(r"[0-9]{1,18}", rows):
                message = f"the file's metadata {ROW_COUNT!r} is not a number; upload it again with the number of rows"
                raise FileRefusedError(message)
            yield replace(csv_file, declared_row_count=None if rows is None else int(rows))

    def put(self, path: str, local: Path, metadata: Mapping[str, str]) -> str:
        """Upload a file, encrypted at rest; returns its S3 URI."""
        key = self.prefix + path
        self.client.upload_file(
            str(local),
            self.name,
            key,
            ExtraArgs={"Metadata": dict(metadata), "ServerSideEncryption": "AES256", "ContentType": "text/csv"},
        )
        return f"s3://{self.name}/{key}"


def _is_missing(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey", "NotFound"}
