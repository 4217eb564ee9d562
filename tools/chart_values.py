"""Write the chart's values.schema.json from its commented values and from `AppSettings`.

Run `python -m tools.chart_values` to write it again. Values say their types by their defaults; a
line `# @schema {...}` above the description says what a default cannot.
The settings of the app and its stages come from the classes that the app itself uses, in
camelCase, so that a key exists in the chart exactly when it exists in the app.
"""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from deployments.stages import STAGES
from serve.settings import AppSettings

CHART = Path(__file__).parents[1] / "charts" / "admirer"
SCHEMA = CHART / "values.schema.json"
DEPLOYMENTS = ("ingress", *STAGES)

PLACEMENT = ("workerGroup", "maxSurgePercent", "maxReplicasPerNode")
"""Keys of a stage that are the chart's own: where its replicas run, and how they are replaced."""

Json = dict[str, Any]

_LEFT_OUT = {"api_key"}
"""Never values of the chart: keys come from a Secret."""

_TEXTS: Json = {"type": "object", "additionalProperties": {"type": "string"}}
_OBJECT: Json = {"type": "object", "additionalProperties": True}
_OBJECTS: Json = {"type": "array", "items": _OBJECT}
_KUBERNETES: dict[str, Json] = {
    "affinity": _OBJECT,
    "environment": _TEXTS,
    "extraVolumeMounts": _OBJECTS,
    "extraVolumes": _OBJECTS,
    "nodeSelector": _TEXTS,
    "podAnnotations": _TEXTS,
    "rayStartParams": _TEXTS,
    "resources": _OBJECT,
    "tolerations": _OBJECTS,
    "topologySpreadConstraints": _OBJECTS,
}
"""Keys with one shape wherever they stand; what is inside is Kubernetes' own to check."""
_TYPE = re.compile(r"^\((int|bool)\) ")
"""What helm-docs shows as the type where the default is null."""
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


def schema() -> Json:
    """Return the schema of the chart's values."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    reader = _Reader(text.splitlines())
    whole = reader.mapping(yaml.compose(text, Loader=yaml.SafeLoader), "")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the admirer chart",
        **whole,
        "definitions": reader.definitions,
    }


class _Reader:
    """Reads values.yaml with its comments, which a YAML parser alone would drop."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self.definitions: Json = {}
        """Shapes that several keys have."""

    def mapping(self, node: yaml.Node | None, place: str) -> Json:
        """Return the schema of an object whose keys are all known."""
        if not isinstance(node, yaml.MappingNode) or not node.value:
            raise ValueError(f"{place} in values.yaml needs a line # @schema")
        properties: Json = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            notes, description = self._comment(key_node.start_mark.line)
            shape = self._value(value_node, notes, f"{place}.{key}".lstrip("."))
            properties[key] = {"description": description, **shape} if description else shape
        return _closed(properties, required=list(properties))

    def _value(self, node: yaml.Node, notes: Json, path: str) -> Json:
        """Return the schema of one value."""
        if settings := notes.get("settings"):
            return _app() if settings == "app" else self._stage(node, settings, path)
        if kind := notes.get("as"):
            return self._shared(node, kind, path)
        key = path.rpartition(".")[2]
        if not notes and key in _KUBERNETES:
            return dict(_KUBERNETES[key])
        if isinstance(node, yaml.MappingNode) and "additionalProperties" not in notes:
            return {**self.mapping(node, path), **notes}
        return {**_inferred(node, path, notes), **notes}

    def _stage(self, node: yaml.Node, name: str, path: str) -> Json:
        """Return the schema of a stage: its scaling beside the rest, and the chart's own keys."""
        known = self.mapping(node, path)["properties"]
        shape = dict(_settings(name)["properties"])
        scaling = shape.pop("scaling", {"properties": {}})
        placement = {key: known[key] for key in PLACEMENT}
        required = ["workerGroup", "numCpus", "numGpus", "maxSurgePercent"]
        return _closed({**placement, **scaling["properties"], **shape}, required=required)

    def _shared(self, node: yaml.Node, kind: str, path: str) -> Json:
        """Return the schema of what is shared: with other charts, or by all worker groups."""
        reference = {"$ref": "#/definitions/workerGroup"}
        if kind == "groups":
            one = {"anyOf": [reference, {"type": "null"}]}
            return {"type": "object", "additionalProperties": one}
        inner = self.mapping(node, path)
        if kind == "group":
            self.definitions["workerGroup"] = _optional(inner)
            return {"allOf": [reference, {"required": inner["required"]}]}
        return {**inner, "additionalProperties": True}

    def _comment(self, line: int) -> tuple[Json, str]:
        """Return the annotation and the description above a line."""
        notes: Json = {}
        description = ""
        for text in reversed(self._lines[:line]):
            comment = text.strip()
            if not comment.startswith("#"):
                break
            if comment.startswith("# @schema "):
                notes = yaml.safe_load(comment.removeprefix("# @schema "))
            elif comment.startswith("# -- "):
                description = _TYPE.sub("", comment.removeprefix("# -- "))
        return notes, description


def _inferred(node: yaml.Node, path: str, notes: Json) -> Json:
    """Return what a default alone says of the type."""
    if isinstance(node, yaml.MappingNode):
        return {"type": "object"}
    value = yaml.SafeLoader("").construct_object(node, deep=True)
    if "type" in notes or "enum" in notes:
        return {}
    if value is None or (isinstance(value, list) and "items" not in notes):
        raise ValueError(f"{path} in values.yaml needs a line # @schema")
    return {"type": _TYPES[type(value)]}


def _app() -> Json:
    """Return the schema of the app's settings outside its stages."""
    whole = AppSettings.model_json_schema()
    own = {name: shape for name, shape in whole["properties"].items() if name not in DEPLOYMENTS}
    return _translated(_closed(own), whole["$defs"])


def _settings(name: str) -> Json:
    """Return the schema of one of the app's settings."""
    whole = AppSettings.model_json_schema()
    return _translated(whole["properties"][name], whole["$defs"])


def _translated(shape: Json, definitions: Json) -> Json:
    """Return a schema of pydantic's with references resolved and names in camelCase."""
    if reference := shape.get("$ref"):
        return _translated(definitions[reference.rpartition("/")[2]], definitions)
    kept = {key: item for key, item in shape.items() if key not in ("title", "properties")}
    if "anyOf" in kept:
        kept["anyOf"] = [_translated(item, definitions) for item in kept["anyOf"]]
    if isinstance(by_name := kept.get("additionalProperties"), dict):
        kept["additionalProperties"] = _translated(by_name, definitions)
    if "properties" in shape:
        names = [name for name in shape["properties"] if name not in _LEFT_OUT]
        inner = {camel(name): _translated(shape["properties"][name], definitions) for name in names}
        return {**_closed(inner), "description": kept.get("description", "")}
    return kept


def camel(name: str) -> str:
    """Return a setting's name as the chart has it: max_size becomes maxSize."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _closed(properties: Json, *, required: list[str] | None = None) -> Json:
    closed: Json = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**closed, "required": required} if required else closed


def _optional(shape: Json) -> Json:
    """Return an object's schema with nothing required, at any depth."""
    kept = {key: item for key, item in shape.items() if key != "required"}
    if "properties" in kept:
        kept["properties"] = {key: _optional(item) for key, item in kept["properties"].items()}
    return kept


if __name__ == "__main__":
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    SCHEMA.write_text(text, encoding="utf-8")
