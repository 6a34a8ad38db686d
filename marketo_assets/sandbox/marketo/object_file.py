"""The file that says which custom objects an instance has: YAML or JSON, in the words Describe has for them."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from marketo_assets.sandbox.marketo.object_types import ObjectField, ObjectLink, ObjectType


class CustomObjectsError(ValueError):
    """A file that cannot be used; the message names the file, the entry and what was expected."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class _Field(_Entry):
    name: str
    display_name: str = ""
    data_type: str = "string"
    length: int | None = None


class _RelatedTo(_Entry):
    name: str
    field: str


class _Relationship(_Entry):
    field: str
    related_to: _RelatedTo


class _CustomObject(_Entry):
    name: str
    display_name: str = ""
    description: str = ""
    fields: list[_Field]
    dedupe_fields: list[str]
    relationships: list[_Relationship] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    custom_objects: list[_CustomObject]


def load_custom_objects(path: Path) -> tuple[ObjectType, ...]:
    """Read `custom_objects:` of a file (see docs/emulator.md); CustomObjectsError names what is wrong and where."""
    try:
        document = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        return tuple(map(_read, document.custom_objects))
    except yaml.YAMLError as error:
        raise CustomObjectsError(f"{path}: neither YAML nor JSON: {error}") from error
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise CustomObjectsError(f"{path}: {'; '.join(problems)}") from error
    except ValueError as error:
        raise CustomObjectsError(f"{path}: {error}") from error


def _read(entry: _CustomObject) -> ObjectType:
    return ObjectType(
        name=entry.name,
        display_name=entry.display_name or entry.name,
        fields=tuple(
            ObjectField(field.name, field.display_name or field.name, field.data_type, field.length)
            for field in entry.fields
        ),
        dedupe_fields=tuple(entry.dedupe_fields),
        links=tuple(
            ObjectLink(relationship.field, relationship.related_to.name, relationship.related_to.field)
            for relationship in entry.relationships
        ),
        description=entry.description,
    )
