"""Whether the API's description is a valid OpenAPI document, and whether answers are what it says.

    .tools/bin/openapi-python tools/docs/openapi.py <ANSWERS

Reads `{path: answer}` as JSON, the paths as the description has them; prints a line for each thing that is wrong.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def main():
    document = json.loads((ROOT / "aggregator/assets/openapi.json").read_text())
    validate(document)
    whole = Resource.from_contents({**document, "$schema": DIALECT, "$id": "urn:api"})
    registry = Registry().with_resource("urn:api", whole)
    for path, answer in json.load(sys.stdin).items():
        responses = document["paths"][path]["get"]["responses"]
        schema = responses["200"]["content"]["application/json"]["schema"]["$ref"]
        validator = Draft202012Validator({"$ref": f"urn:api{schema}"}, registry=registry)
        for error in validator.iter_errors(answer):
            print(f"{path} answers at {error.json_path}: {error.message[:300]}")


main()
