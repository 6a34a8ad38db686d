"""Guards against a local S3 that loses dropped files when it stops, or shows the sensor old files as new ones."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from mypy_boto3_s3 import S3Client

from marketo_assets.sandbox import processes

AWKWARD = 'pump/contacts/ä "b" +/x%2Fy z.csv'


@contextmanager
def running(tmp_path: Path, end: signal.Signals | None = None) -> Iterator[S3Client]:
    server = processes.s3_server(tmp_path / "s3.sqlite", tmp_path / "log", ["drop"])
    try:
        server.wait_until_ready()
        session = boto3.Session("key", "secret", region_name="us-east-1")
        yield session.client("s3", endpoint_url=server.url)
        if end is not None:
            os.kill(server.pid, end)
    finally:
        server.stop()


def listing(client: S3Client) -> list[tuple[Any, ...]]:
    objects = client.list_objects_v2(Bucket="drop").get("Contents", [])
    return [(entry["Key"], entry["ETag"], entry["LastModified"], entry["Size"]) for entry in objects]


def test_objects_outlive_kill_9_unchanged_and_deleted_ones_stay_deleted(tmp_path: Path) -> None:
    with running(tmp_path, signal.SIGKILL) as client:
        client.put_object(Bucket="drop", Key=AWKWARD, Body=b"old")
        client.put_object(
            Bucket="drop",
            Key=AWKWARD,
            Body=b"a,b\n1,2\n",
            Metadata={"rows": "1"},
            ContentType="text/csv",
            ServerSideEncryption="AES256",
        )
        for key in ("plain.csv", "deleted.csv", "deleted-in-bulk.csv"):
            client.put_object(Bucket="drop", Key=key, Body=b"")
        upload = client.create_multipart_upload(Bucket="drop", Key="parts.csv")["UploadId"]
        part = client.upload_part(Bucket="drop", Key="parts.csv", UploadId=upload, PartNumber=1, Body=b"one part")
        client.complete_multipart_upload(
            Bucket="drop",
            Key="parts.csv",
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )
        client.delete_object(Bucket="drop", Key="deleted.csv")
        client.delete_objects(Bucket="drop", Delete={"Objects": [{"Key": "deleted-in-bulk.csv"}]})
        client.create_bucket(Bucket="another")
        before = listing(client)
        assert [key for key, *_ in before] == ["parts.csv", "plain.csv", AWKWARD]
    with running(tmp_path) as client:
        assert listing(client) == before
        kept = client.get_object(Bucket="drop", Key=AWKWARD)
        assert kept["Body"].read() == b"a,b\n1,2\n"
        assert kept["Metadata"] == {"rows": "1"}
        assert kept["ContentType"] == "text/csv"
        assert kept["ServerSideEncryption"] == "AES256"
        assert client.get_object(Bucket="drop", Key="parts.csv")["Body"].read() == b"one part"
        assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} == {"drop", "another"}


def test_a_file_large_enough_to_be_uploaded_in_parts_can_be_read_after_a_restart(tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    large.write_bytes(b"email_address\n" + b"ada@example.com\n" * 700_000)
    with running(tmp_path) as client:
        client.upload_file(str(large), "drop", "large.csv")
        assert client.head_object(Bucket="drop", Key="large.csv")["ETag"].endswith('-2"')
    with running(tmp_path) as client:
        assert client.get_object(Bucket="drop", Key="large.csv")["Body"].read() == large.read_bytes()
