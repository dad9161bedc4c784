"""What test-openapi.sh runs: the document and the examples in it, then the generated client, package `client`."""
import importlib
import json
import pkgutil
import sys
import typing

import httpx
import jsonschema
from client import AuthenticatedClient
from client.api import default
from openapi_spec_validator import validate

port, path = sys.argv[1:]
document = json.load(open(path))
validate(document)
server = f"http://127.0.0.1:{port}"
failures, num_calls = [], 0


def check(what, holds, found):
    global num_calls
    num_calls += 1
    if not holds:
        failures.append(f"{what}: {found}")


def operations():
    """(path, method, operation), those that take nothing away first."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def examples_of(operation):
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {name: example["value"] for name, example in body.get("examples", {}).items() if name != "removal"}


def problem_with(answer, operation):
    """What of an answer does not fit its schema; "" if it fits."""
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    try:
        jsonschema.validate(answer, {**schema, "components": document["components"]})
    except jsonschema.ValidationError as error:
        return error.message
    return ""


http = httpx.Client(base_url=server, headers={"Authorization": "Bearer secret"}, timeout=60)
for path, method, operation in operations():
    for name, example in examples_of(operation).items():
        answer = http.request(method, path, json=example)
        check(f"{method} {path} ({name})", answer.status_code == 200, answer.text[:200])
        if answer.status_code == 200:
            problem = problem_with(answer.json(), operation)
            check(f"{method} {path} ({name}), its answer", not problem, problem)

by_id = {operation["operationId"]: operation for _, _, operation in operations()}
client = AuthenticatedClient(base_url=server, token="secret", timeout=60)
identities = {"v1_models_id": http.get("/v1/models").json()["data"][0]["id"], "v1_items_id_image": 1}
for module in pkgutil.iter_modules(default.__path__):
    call = importlib.import_module(f"client.api.default.{module.name}").sync_detailed
    arguments = {"client": client}
    if module.name in identities:
        arguments["id"] = identities[module.name]
    body = typing.get_type_hints(call).get("body")
    if body is not None:
        models = [model for model in typing.get_args(body) or (body,) if hasattr(model, "from_dict")]
        arguments["body"] = models[0].from_dict(next(iter(examples_of(by_id[module.name]).values())))
    answer = call(**arguments)
    check(f"generated client, {module.name}", answer.status_code == 200, answer.content[:200])

for failure in failures:
    print(failure, file=sys.stderr)
print(f"{num_calls - len(failures)} passed, {len(failures)} failed")
sys.exit(1 if failures else 0)
