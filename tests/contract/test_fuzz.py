"""schemathesis over every operation of the document that the server publishes: valid and invalid requests, each
response checked against the document. ``scripts/fuzz`` does the same for longer.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from tests.contract.fuzzing import Address, served

from safelight.api import contract as contracts
from safelight.api.comfy.not_implemented import NOT_IMPLEMENTED
from safelight.api.openapi_document import document, document_v2

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Random requests of each kind for an operation; 0: a few, always the same."""

_NAMES_SOMETHING = "most texts that fit the schema name nothing, or nothing that could be"
_NO_SCHEMA = "what is in the body is beyond a schema: graphs, pictures, JSON that calls itself text"
_OWN_BODY = "the document does not have the bodies of our own routes, which docs/reference/api-v2.md describes"
_A_TAG = "a tag is not empty, and a change names one"
EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "uploadAsset": {
        "positive_data_acceptance": _NO_SCHEMA,
        "negative_data_rejection": "an empty field of a form is one that was left out",
    },
    "createAssetFromHash": {"positive_data_acceptance": _A_TAG},
    "submitFeedback": {"positive_data_acceptance": "nobody says so much in an hour (FB-1)"},
    "listWorkflows": {"positive_data_acceptance": "an integer of the contract has 64 bits"},
    "getVhsQueryVideo": {"positive_data_acceptance": _NAMES_SOMETHING},
    "getMaskLayers": {"positive_data_acceptance": _NAMES_SOMETHING},
    "updateAsset": {"positive_data_acceptance": "a MIME type has a form that its schema does not give"},
    "addAssetTags": {"positive_data_acceptance": _A_TAG},
    "removeAssetTags": {"positive_data_acceptance": _A_TAG},
    "updateAssetTags": {"positive_data_acceptance": _A_TAG},
    "listAssets": {"positive_data_acceptance": "cursors and metadata filters are texts with a form of their own"},
    "getAssetTagHistogram": {"positive_data_acceptance": "the same"},
    "createWorkflow": {"positive_data_acceptance": "an origin must be a workflow that the caller knows (WF-4)"},
    "executePrompt": {"positive_data_acceptance": _NO_SCHEMA},
    "updateMultipleSettings": {"positive_data_acceptance": _NO_SCHEMA},
    "updateSettingById": {
        "positive_data_acceptance": _NO_SCHEMA,
        "response_schema_conformance": "the contract types a setting's value as an object; clients set any JSON",
    },
    "getSettingById": {"response_schema_conformance": "the same"},
    "uploadImage": {"positive_data_acceptance": _NO_SCHEMA},
    "uploadMask": {"positive_data_acceptance": _NO_SCHEMA},
    "viewFile": {"positive_data_acceptance": _NAMES_SOMETHING},
    "listJobs": {"positive_data_acceptance": "the states in a comma-joined text are beyond its schema"},
    "getUserdata": {"positive_data_acceptance": _NAMES_SOMETHING},
    "getUserdataFile": {"positive_data_acceptance": _NAMES_SOMETHING},
    "moveUserdataFile": {"positive_data_acceptance": _NAMES_SOMETHING},
    "postUserdataFilePublish": {"positive_data_acceptance": "a file that is no workflow, or assets that there are not"},
    "postUserdataFile": {
        "positive_data_acceptance": _NAMES_SOMETHING,
        "negative_data_rejection": "a body that is not there and a file without content are the same on the wire",
    },
}

_ABOUT_THE_ANSWER = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
}

_CONFIG = SchemathesisConfig.from_dict(
    {
        "generation": {
            "max-examples": EXAMPLES or 4,
            "deterministic": not EXAMPLES,
            "database": "none",
        },
        "phases": {"coverage": {"enabled": bool(EXAMPLES)}},
    }
)
_CONTRACT = contracts.load()
_V2 = contracts.load_v2()
V2_EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "postAssets": {"positive_data_acceptance": _NO_SCHEMA},
    "assetFromHash": {"positive_data_acceptance": _NAMES_SOMETHING},
    "postJobs": {"positive_data_acceptance": _NO_SCHEMA},
    "listJobs": {
        "positive_data_acceptance": "cursors are texts with a form of their own",
        "negative_data_rejection": "a parameter that is no member of the object is another parameter",
    },
    "post_batches": {"positive_data_acceptance": _OWN_BODY},
    "post_estimate": {"positive_data_acceptance": _OWN_BODY},
    "post_webhooks": {"positive_data_acceptance": _OWN_BODY},
    "list_batch_jobs": {"positive_data_acceptance": "cursors are texts with a form of their own"},
    "list_batches": {"positive_data_acceptance": "the same"},
}
V2_SCHEMA = schemathesis.openapi.from_dict(document_v2(_V2), config=_CONFIG)
SCHEMA = schemathesis.openapi.from_dict(document(_CONTRACT), config=_CONFIG).include(
    operation_id=sorted(set(_CONTRACT.operations) - NOT_IMPLEMENTED)
)
load_all_checks()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Address]:
    with served(tmp_path_factory.mktemp("fuzz"), migrated) as address:
        yield address


@SCHEMA.parametrize()
def test_operation_keeps_the_contract(case: schemathesis.Case, address: Address) -> None:
    excepted = EXCEPTIONS.get(case.operation.definition.raw["operationId"], {})
    checks = [check for check in CHECKS.get_all() if check.__name__ not in excepted]
    case.call_and_validate(address.url, headers={"X-API-Key": address.key}, checks=checks)


@V2_SCHEMA.parametrize()
def test_operation_of_v2_keeps_the_contract(case: schemathesis.Case, address: Address) -> None:
    excepted = V2_EXCEPTIONS.get(case.operation.definition.raw["operationId"], {})
    checks = [check for check in CHECKS.get_all() if check.__name__ not in excepted]
    case.call_and_validate(address.url, headers={"Authorization": f"Bearer {address.key}"}, checks=checks)


@V2_SCHEMA.parametrize()
@hypothesis.settings(max_examples=1)
def test_a_stranger_is_refused_by_v2(case: schemathesis.Case, address: Address) -> None:
    """The document has the alternative of no credential, for servers without accounts; this one has accounts."""
    answer = case.call(address.url)
    declared = case.operation.method.upper()
    assert answer.status_code == 401 or case.method.upper() != declared
    about_the_answer = [check for check in CHECKS.get_all() if check.__name__ in _ABOUT_THE_ANSWER]
    case.validate_response(answer, checks=about_the_answer)


@SCHEMA.parametrize()
@hypothesis.settings(max_examples=1)
def test_a_stranger_is_refused_as_the_contract_has_it(case: schemathesis.Case, address: Address) -> None:
    """For every request of a caller without a credential, valid or not."""
    answer = case.call(address.url)
    operation = _CONTRACT.operations[case.operation.definition.raw["operationId"]]
    is_another_method = case.method.upper() != operation.method
    assert answer.status_code == 401 or operation.is_open or is_another_method
    about_the_answer = [check for check in CHECKS.get_all() if check.__name__ in _ABOUT_THE_ANSWER]
    case.validate_response(answer, checks=about_the_answer)


def test_exceptions_are_of_the_contract() -> None:
    assert set(EXCEPTIONS) <= set(_CONTRACT.operations)
    of_v2 = {operation["operationId"] for item in document_v2(_V2)["paths"].values() for operation in item.values()}
    assert set(V2_EXCEPTIONS) <= of_v2
