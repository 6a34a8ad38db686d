"""The endpoints that tell of single fields, of leads and of companies: schema/fields.json, schema/fields/{name}.json.

Hidden fields are in them, and said to be.
"""

from collections.abc import Callable
from typing import Any

from marketo_assets.sandbox.marketo.fields import COMPANY_LINK, Field
from marketo_assets.sandbox.marketo.instance import Instance, page_size
from marketo_assets.sandbox.marketo.paging import make_token, read_token
from marketo_assets.sandbox.marketo.wire import Answer, ApiError, Call

IsShown = Callable[[Field], bool]


class FieldSchema:
    """The field endpoints of one instance, for the fields that belong to it."""

    def __init__(self, instance: Instance, is_shown: IsShown) -> None:
        """`is_shown`: whether a lead field is one of them."""
        self._instance = instance
        self._is_shown = is_shown

    def find(self, call: Call) -> Answer:
        """GET schema/fields.json: by id, in pages."""
        question, size = f"fields={call.request.path}", page_size(call)
        after = read_token(call, question)
        fields = sorted(self._instance.fields.fields, key=lambda field: field.id)
        found = [field for field in fields if field.id > after and self._is_shown(field)]
        page = [_show(field) for field in found[:size]]
        if len(found) <= size:
            return Answer(page, more_result=False)
        return Answer(page, make_token(question, found[size - 1].id), more_result=True)

    def by_name(self, call: Call) -> Answer:
        """GET schema/fields/{field}.json: 1006 for an unknown one (a choice)."""
        name = call.path_values["field"]
        place = self._instance.fields.position.get(name)
        if place is None or not self._is_shown(self._instance.fields.fields[place]):
            raise ApiError("1006", f"Field '{name}' not found")
        return Answer([_show(self._instance.fields.fields[place])])


def is_of_lead(_field: Field) -> bool:
    """Every lead field is."""
    return True


def is_of_company(field: Field) -> bool:
    """Those of the type Company, and what links a lead to its company."""
    return field.of_company or field.name == COMPANY_LINK


def _show(field: Field) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "displayName": field.display_name,
        "name": field.name,
        "description": "",
        "dataType": field.data_type,
    }
    if field.length is not None:
        entry["length"] = field.length
    return entry | {
        "isHidden": field.hidden,
        "isHtmlEncodingInEmail": True,
        "isSensitive": False,
        "isCustom": field.custom,
        "isApiCreated": False,
    }
