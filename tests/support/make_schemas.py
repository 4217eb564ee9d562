"""Write the JSON schemas by which kubeconform checks what the chart renders.

    python tests/support/make_schemas.py --crds FILE.yaml... --openapi swagger.json

CRD files are those of the KubeRay operator, the Gateway API and the Prometheus operator;
swagger.json is `api/openapi-spec/swagger.json` of the Kubernetes sources (or `kubectl get --raw
/openapi/v2`). Descriptions and status are left out; unknown keys are refused.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[1] / "chart" / "schemas"
CUSTOM = {"RayService", "HTTPRoute", "PodMonitor", "ServiceMonitor", "PrometheusRule"}
CORE = {
    ("", "v1"): {"ConfigMap", "PersistentVolumeClaim", "Pod", "Service", "ServiceAccount"},
    ("batch", "v1"): {"Job"},
    ("networking.k8s.io", "v1"): {"Ingress", "NetworkPolicy"},
    ("policy", "v1"): {"PodDisruptionBudget"},
    ("rbac.authorization.k8s.io", "v1"): {"Role", "RoleBinding"},
}
KEPT = {"type", "enum", "required", "minimum", "maximum", "minLength", "maxLength", "pattern"}
KEPT |= {"minItems", "maxItems", "default", "nullable"}
REFERENCE = "#/definitions/"


def custom_resources(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file name, schema) of every wanted kind in a file of CRDs."""
    for document in yaml.load_all(file.read_text(), Loader=yaml.CSafeLoader):
        spec = (document or {}).get("spec", {})
        kind = spec.get("names", {}).get("kind")
        if kind not in CUSTOM:
            continue
        group = spec["group"].partition(".")[0]
        for version in spec["versions"]:
            if version["served"] and version["name"] == "v1":
                schema = version["schema"]["openAPIV3Schema"]
                schema["properties"]["metadata"] = {"type": "object"}
                yield f"{kind.lower()}-{group}-v1.json", convert(without_status(schema))


def core_kinds(swagger: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file name, schema) of every wanted kind of Kubernetes itself."""
    definitions = swagger["definitions"]
    for definition in definitions.values():
        for known in definition.get("x-kubernetes-group-version-kind", []):
            group, version, kind = known["group"], known["version"], known["kind"]
            if kind in CORE.get((group, version), set()):
                suffix = f"-{group.partition('.')[0]}" if group else ""
                schema = convert(without_status(definition))
                schema["definitions"] = reachable(schema, definitions)
                yield f"{kind.lower()}{suffix}-{version}.json", schema


def without_status(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what a person writes."""
    properties = {key: item for key, item in schema["properties"].items() if key != "status"}
    return {**schema, "properties": properties}


def convert(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI schema as a strict JSON schema, without words."""
    if reference := schema.get("$ref"):
        return {"$ref": REFERENCE + reference.removeprefix(REFERENCE)}
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"type": ["integer", "string", "number"]}
    made = {key: item for key, item in schema.items() if key in KEPT}
    if made.pop("nullable", False):
        made["type"] = [made["type"], "null"]
    if "properties" in schema:
        made["properties"] = {key: convert(item) for key, item in schema["properties"].items()}
        made["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    elif isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = convert(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = convert(schema["items"])
    return made


def reachable(schema: object, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the converted definitions that a schema refers to, directly or not."""
    found: dict[str, Any] = {}
    waiting = list(references(schema))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = converted(name, definitions[name])
            waiting += references(found[name])
    return dict(sorted(found.items()))


def converted(name: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Return one definition; a quantity is a number or a text, whatever swagger says."""
    if name.endswith(".Quantity") or definition.get("format") == "int-or-string":
        return {"type": ["string", "number"]}
    return convert(definition)


def references(schema: object) -> Iterator[str]:
    """Yield the names of definitions in a converted schema."""
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(REFERENCE)
        for item in schema.values():
            yield from references(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


def main() -> None:
    """Write every schema."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crds", nargs="+", type=Path, required=True)
    parser.add_argument("--openapi", type=Path, required=True)
    options = parser.parse_args()
    made = [entry for file in options.crds for entry in custom_resources(file)]
    made += core_kinds(json.loads(options.openapi.read_text()))
    FOLDER.mkdir(exist_ok=True)
    for name, schema in made:
        text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
        (FOLDER / name).write_text(text + "\n")
    if len(made) != len(CUSTOM) + sum(len(kinds) for kinds in CORE.values()):
        raise SystemExit(f"only these were found: {sorted(name for name, _ in made)}")


if __name__ == "__main__":
    main()
