"""What an OpenAPI description promises to programs that are written already, one line each.

A line that is gone is a breaking change; a new one is not. Run as a program it adds the new lines
to the kept ones, and never takes one away: that is done by hand, with a line in CHANGELOG.md.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from checkout import CHECKOUT

DESCRIPTION = CHECKOUT / "docs" / "reference" / "openapi.json"
KEPT = CHECKOUT / "tests" / "contract" / "api_promises.txt"

Document = Mapping[str, Any]


def promises(document: Document) -> set[str]:
    """Every promise of *document*."""
    found: set[str] = set()
    sent: set[str] = set()
    received: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            call = f"{method.upper()} {path}"
            found |= {f"{call} {each}" for each in _of_operation(operation)}
            sent |= set(_references(operation.get("requestBody", {})))
            received |= set(_references(operation["responses"]))
    schemas = document.get("components", {}).get("schemas", {})
    for name in _reachable(sent, schemas):
        found |= {f"{name} {each}" for each in _of_sent(schemas[name])}
    for name in _reachable(received, schemas):
        found |= {f"{name} {each}" for each in _of_received(schemas[name])}
    return found


def _of_operation(operation: Document) -> Iterator[str]:
    yield f"is named {operation['operationId']}"
    needed = [each["name"] for each in operation.get("parameters", ()) if each.get("required")]
    yield f"needs only {', '.join(sorted(needed)) or 'its path'}"
    for each in operation.get("parameters", ()):
        yield f"takes {each['in']} {each['name']}: {_type(each['schema'])}"
    body = operation.get("requestBody")
    if body is not None:
        for media_type, content in body["content"].items():
            yield f"takes {media_type}: {_type(content['schema'])}"
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items():
            yield f"answers {status} {media_type}: {_type(content['schema'])}"


def _of_sent(schema: Document) -> Iterator[str]:
    """Promises to senders: members are still taken, and no others are needed."""
    if "properties" in schema:
        yield f"needs only {', '.join(sorted(schema.get('required', ()))) or 'nothing'}"
    for name, member in schema.get("properties", {}).items():
        yield f"takes {name}: {_type(member)}"


def _of_received(schema: Document) -> Iterator[str]:
    """Promises to receivers: members are there, of their type, and null only where they were."""
    if "properties" not in schema:
        yield f"is {_type(schema)}"
    for name, member in schema.get("properties", {}).items():
        yield f"has {name}: {_type(member)}"
        if name in schema.get("required", ()):
            yield f"has always {name}"
        if not _may_be_null(member):
            yield f"has never null as {name}"


def _type(schema: Document) -> str:
    """The type in words, without null."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if several:
        return " | ".join(sorted({_type(each) for each in several} - {"null"}))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(sorted(repr(value) for value in values if value is not None))
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " | ".join(sorted(set(kind) - {"null"}))
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(_type(each) for each in schema['prefixItems'])}]"
        return f"[{_type(schema.get('items', {}))}]"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"{{text: {_type(schema['additionalProperties'])}}}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _may_be_null(schema: Document) -> bool:
    several = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    kind = schema.get("type", ())
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(_may_be_null(each) for each in several)
    )


def _references(part: Any) -> Iterator[str]:
    """The names of the schemas that *part* refers to."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            if name == "$ref":
                yield str(value).rpartition("/")[2]
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for each in part:
            yield from _references(each)


def _reachable(names: set[str], schemas: Document) -> set[str]:
    """*names*, and what their schemas refer to in turn."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= set(_references(schemas[name])) - found
    return found


def kept_promises(file: Path = KEPT) -> set[str]:
    return set(file.read_text(encoding="utf-8").splitlines())


def main() -> None:
    kept = kept_promises() if KEPT.exists() else set()
    present = promises(orjson.loads(DESCRIPTION.read_bytes()))
    KEPT.write_text("".join(f"{line}\n" for line in sorted(kept | present)), encoding="utf-8")
    print(f"{len(present - kept)} promises added, {len(kept - present)} kept ones are broken.")


if __name__ == "__main__":
    main()
