"""The CSV files of bulk extract: which rows a job's file holds, how they are written, and the writing itself.

When a job gets to write belongs to export_queue.py. An empty value is the unquoted word null, and a text is quoted
only where it has to be, so that the text "null" looks the same; whatever else is in a value stays as it is.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from marketo_assets.sandbox.marketo.activities import DELETE_LEAD, expand_flat
from marketo_assets.sandbox.marketo.export_store import ExportJob, ExportRequest
from marketo_assets.sandbox.marketo.instance import Instance, show_lead

ACTIVITY_FIELDS = (
    "marketoGUID",
    "leadId",
    "activityDate",
    "activityTypeId",
    "campaignId",
    "primaryAttributeValueId",
    "primaryAttributeValue",
    "attributes",
)
"""The columns of an activity file that names none."""
EXTRA_ACTIVITY_FIELD = "actionResult"
"""Can be asked for besides; nothing here ever has a value for it."""
_BATCH_ROWS = 2_000
_PAGE_LEADS = 5_000
_NULL = "null"

Quote = Callable[[str], str]


class ExportFile:
    """The file of one job while it is being written."""

    def __init__(self, path: Path, job: ExportJob, instance: Instance) -> None:
        """Begins the file anew, whatever is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records = 0
        self.size = 0
        self._hash = hashlib.sha256()
        self._output = path.open("wb")
        quote = _leave_quotes_alone if job.fault == "lone_quotes" else quoted
        self._header = ",".join(map(quoted, job.request.headers)) + "\n"
        self._empty_is_header = instance.options.empty_export_is_header
        lines = _activity_lines if job.request.by == "activity" else _lead_lines
        self._lines = lines(instance, job, quote)

    @property
    def checksum(self) -> str:
        """SHA-256 of what is written, hex."""
        return self._hash.hexdigest()

    def write(self, rows: int) -> bool:
        """Write about so many rows more; whether the file is complete, and closed, with that."""
        stop = self.records + rows
        while self.records < stop:
            lines = list(islice(self._lines, _BATCH_ROWS))
            if not self.records and (lines or self._empty_is_header):
                self._put(self._header)
            if not lines:
                self.close()
                return True
            self._put("".join(lines))
            self.records += len(lines)
        return False

    def close(self) -> None:
        """Stop writing."""
        self._output.close()

    def _put(self, text: str) -> None:
        data = text.encode()
        self._hash.update(data)
        self.size += self._output.write(data)


def quoted(text: str) -> str:
    """A text as a cell of a CSV file."""
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _leave_quotes_alone(text: str) -> str:
    """The same, gone wrong: quotes inside are not doubled."""
    return f'"{text}"' if '"' in text or "," in text or "\n" in text or "\r" in text else text


def _cell(value: Any, quote: Quote) -> str:
    if value.__class__ is str:
        return quote(value) or _NULL
    if value is None:
        return _NULL
    if value.__class__ is bool:
        return "true" if value else "false"
    return str(value)


def _activity_lines(instance: Instance, job: ExportJob, quote: Quote) -> Iterator[str]:
    """By time. What was committed after the job began is not in it; neither are Delete Lead activities."""
    request, fields, user = job.request, instance.fields, instance.options.api_user
    places = [(*ACTIVITY_FIELDS, EXTRA_ACTIVITY_FIELD).index(name) for name in request.fields]
    types = None if request.types is None else frozenset(request.types)
    as_of = job.started or 0.0
    for event in instance.store.activities_between(request.start, request.end, types):
        if event.committed > as_of or event.type == DELETE_LEAD:
            continue
        for activity in expand_flat(event, fields, user):
            get = activity.get
            cells = (
                activity["marketoGUID"],
                str(activity["leadId"]),
                activity["activityDate"],
                str(activity["activityTypeId"]),
                str(get("campaignId", _NULL)),
                str(get("primaryAttributeValueId", _NULL)),
                _cell(get("primaryAttributeValue"), quote),
                quoted(orjson.dumps(activity["attributes"]).decode()),
                _NULL,
            )
            yield ",".join([cells[place] for place in places]) + "\n"


def _lead_lines(instance: Instance, job: ExportJob, quote: Quote) -> Iterator[str]:
    """By id."""
    names = job.request.fields
    for ids in _lead_ids(instance, job.request):
        for lead in instance.store.leads(ids).values():
            shown = show_lead(instance, lead, names)
            yield ",".join([_cell(shown[name], quote) for name in names]) + "\n"


def _lead_ids(instance: Instance, request: ExportRequest) -> Iterator[list[int]]:
    store, after = instance.store, 0
    while True:
        if request.by == "list":
            ids = store.members(request.list_id, after, _PAGE_LEADS)
        else:
            ids = store.lead_ids_between(request.by == "changed", request.start, request.end, after, _PAGE_LEADS)
        if not ids:
            return
        yield ids
        after = ids[-1]
