"""Companies and custom objects: describe a type, upsert and delete records by their dedupe fields.

Both are the same kind of thing to the API (fact sheet: Companies, Custom objects). What to send and why belongs to
the flows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from marketo_assets.marketo.client import READ_MARGIN_SECONDS, MarketoClient
from marketo_assets.marketo.envelope import Envelope
from marketo_assets.marketo.errors import CrmSyncOnError, ReplyError, redact
from marketo_assets.marketo.leads import LeadField, write_rows

CUSTOM_OBJECTS_PATH: Final = "/rest/v1/customobjects"
_CRM_SYNC_ON: Final = "1018"
_DELETE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class RecordKind:
    """Where the records of one type are, and how long Marketo works on an upsert of them before it gives up."""

    path: str
    upsert_seconds: float


COMPANIES: Final = RecordKind("/rest/v1/companies", 60.0)


def custom_object(api_name: str) -> RecordKind:
    """The custom objects of one type."""
    return RecordKind(f"{CUSTOM_OBJECTS_PATH}/{api_name}", 120.0)


@dataclass(frozen=True, slots=True)
class Relationship:
    """The field of a record that holds a field's value of what it belongs to: a lead, company or custom object."""

    field: str
    related_to: str
    related_field: str


@dataclass(frozen=True, slots=True)
class RecordType:
    """A type as Describe has it. Its fields have the same parts as those of leads; read-only is `updateable: false`."""

    name: str
    dedupe_fields: tuple[str, ...]
    id_field: str
    relationships: tuple[Relationship, ...]
    fields: tuple[LeadField, ...]


@dataclass(frozen=True, slots=True)
class RecordResult:
    """What became of one record. `record_id`: the id of a company, the marketoGUID of a custom object.

    `code` and `message` say why it was skipped; the message holds no values.
    """

    status: Literal["created", "updated", "deleted", "skipped"]
    record_id: str | None
    code: str | None
    message: str | None


def describe_records(client: MarketoClient, kind: RecordKind) -> RecordType:
    """The type as it is now. Raises ReplyError for a description without keys or fields, RequestError for no type."""
    path = f"{kind.path}/describe.json"
    envelope = client.request("GET", path)
    try:
        (item,) = envelope.result
        described = RecordType(
            name=item.get("name") or item["apiName"],
            dedupe_fields=tuple(item["dedupeFields"]),
            id_field=item["idField"],
            relationships=tuple(map(_relationship, item.get("relationships") or ())),
            fields=tuple(map(_field, item["fields"])),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _shape("no description of one type", path, envelope) from None
    if not described.dedupe_fields or not described.fields:
        raise _shape("a type without keys or fields", path, envelope)
    return described


def custom_object_names(client: MarketoClient) -> list[str]:
    """The API names of all custom objects."""
    path = f"{CUSTOM_OBJECTS_PATH}.json"
    envelope = client.request("GET", path)
    try:
        return [str(item.get("name") or item["apiName"]) for item in envelope.result]
    except (AttributeError, KeyError, TypeError):
        raise _shape("a custom object without a name", path, envelope) from None


def upsert_records(client: MarketoClient, kind: RecordKind, rows: Sequence[bytes]) -> list[RecordResult]:
    """Create or update up to 300 records, each a JSON object in bytes with its dedupe fields; results by position.

    No key may stand twice. After a lost reply the batch is sent again, so a record that was created can read
    "updated". Raises CrmSyncOnError where the CRM alone may write; for the rest, see `leads.write_rows`.
    """
    head = {"action": "createOrUpdate", "dedupeBy": "dedupeFields"}
    return _write(client, f"{kind.path}.json", head, rows, kind.upsert_seconds)


def delete_records(client: MarketoClient, kind: RecordKind, keys: Sequence[bytes]) -> list[RecordResult]:
    """Delete up to 300 records, each named by a JSON object of its dedupe fields; results by position.

    One that is not there is skipped with 1013, also when it was deleted and the reply was lost. Raises as
    `upsert_records` does.
    """
    return _write(client, f"{kind.path}/delete.json", {"deleteBy": "dedupeFields"}, keys, _DELETE_SECONDS)


def _write(
    client: MarketoClient, path: str, head: dict[str, str], rows: Sequence[bytes], server_seconds: float
) -> list[RecordResult]:
    def read(item: Any, position: int, envelope: Envelope) -> RecordResult:
        return _result(item, position, path, envelope)

    return write_rows(client, path, head, rows, read, timeout=server_seconds + READ_MARGIN_SECONDS)


def _result(item: Any, position: int, path: str, envelope: Envelope) -> RecordResult:
    if not isinstance(item, dict) or item.get("seq", position) != position:
        raise _shape("results that are not in the order of the records", path, envelope)
    record_id = item.get("marketoGUID", item.get("id"))
    named = None if record_id is None else str(record_id)
    match item:
        case {"status": "created" | "updated" | "deleted" as status}:
            return RecordResult(status, named, None, None)
        case {"status": "skipped", "reasons": [{"code": code, **reason}, *_]}:
            message = str(reason.get("message", ""))
            if str(code) == _CRM_SYNC_ON:
                raise CrmSyncOnError(_CRM_SYNC_ON, message, path, envelope.request_id)
            return RecordResult("skipped", named, str(code), redact(message))
        case {"status": "skipped"}:
            return RecordResult("skipped", named, None, None)
    raise _shape("a record's result without a known status", path, envelope)


def _relationship(item: dict[str, Any]) -> Relationship:
    # Marketo's own pages write it both ways.
    related = item.get("relatedTo") or item["object"]
    return Relationship(item["field"], related["name"], related["field"])


def _field(item: dict[str, Any]) -> LeadField:
    return LeadField(
        name=item["name"],
        display_name=item["displayName"],
        data_type=item["dataType"],
        length=item.get("length"),
        read_only=not item.get("updateable", False),
    )


def _shape(message: str, endpoint: str, envelope: Envelope) -> ReplyError:
    return ReplyError("shape", message, endpoint, envelope.request_id)
