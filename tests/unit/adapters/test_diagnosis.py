"""Each refusal of the storage becomes one trouble with one remedy, and none of its text is repeated."""

from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from exporter.adapters.diagnosis import LIST_BLOBS, PUT_MESSAGE, Access, Right, explain_refusal
from exporter.steps.doctor import Code

KEY = Access("EXPORTER_STORAGE", "acme", is_local=False, kind="key")
SIGNATURE = Access("EXPORTER_LANDING", "acme", is_local=False, kind="signature")
IDENTITY = Access("EXPORTER_STORAGE", "acme", is_local=False, kind="identity")
LOCAL = Access("EXPORTER_STORAGE", "devstoreaccount1", is_local=True, kind="key")


def an_answer(status: int, code: str, kind: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    response: Any = SimpleNamespace(
        status_code=status, reason="canary", headers={}, request=None, text=lambda *_: ""
    )
    error = kind("canary", response=response)
    error.error_code = code  # type: ignore[attr-defined] # as the storage SDK sets it
    return error


@pytest.mark.parametrize(
    ("error", "access", "code", "remedy"),
    [
        (ServiceRequestError("canary"), KEY, Code.STORAGE_UNREACHABLE, "az storage account show"),
        (ServiceRequestError("canary"), LOCAL, Code.STORAGE_UNREACHABLE, "`exporter up`"),
        (ClientAuthenticationError("canary"), IDENTITY, Code.IDENTITY_MISSING, "az login"),
        (
            an_answer(403, "AuthenticationFailed", ClientAuthenticationError),
            KEY,
            Code.STORAGE_KEY_REFUSED,
            "az storage account show-connection-string --name acme",
        ),
        (
            an_answer(403, "AuthenticationFailed", ClientAuthenticationError),
            SIGNATURE,
            Code.STORAGE_KEY_REFUSED,
            "new shared access signature",
        ),
        (an_answer(401, "InvalidAuthenticationInfo"), IDENTITY, Code.IDENTITY_MISSING, "az login"),
        (an_answer(403, "AuthorizationFailure"), KEY, Code.STORAGE_FIREWALL, "network-rule add"),
        (an_answer(403, "AuthorizationFailure"), LOCAL, Code.STORAGE_KEY_REFUSED, "exporter up"),
        (
            an_answer(403, "AuthorizationPermissionMismatch"),
            IDENTITY,
            Code.RIGHT_MISSING,
            'az role assignment create --role "Storage Blob Data Contributor"',
        ),
        (an_answer(403, "AuthorizationPermissionMismatch"), SIGNATURE, Code.RIGHT_MISSING, "permission 'l'"),
        (an_answer(403, "KeyBasedAuthenticationNotPermitted"), KEY, Code.RIGHT_MISSING, "by key"),
        (
            an_answer(404, "ContainerNotFound", ResourceNotFoundError),
            KEY,
            Code.CONTAINER_MISSING,
            "exporter run list",
        ),
        (an_answer(409, "AccountIsDisabled"), KEY, Code.STORAGE_ERROR, "AccountIsDisabled"),
        (an_answer(500, "InternalError"), KEY, Code.STORAGE_ERROR, "InternalError"),
    ],
)
def test_a_refusal_becomes_a_trouble_with_its_remedy(
    error: AzureError, access: Access, code: Code, remedy: str
) -> None:
    trouble = explain_refusal(error, LIST_BLOBS, access, "container segments")

    assert trouble.code == code
    assert remedy in trouble.remedy
    assert "canary" not in str(trouble) + trouble.remedy


@pytest.mark.parametrize(
    ("right", "action"),
    [
        (LIST_BLOBS, "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"),
        (PUT_MESSAGE, "Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action"),
    ],
)
def test_a_missing_right_is_named_exactly(right: Right, action: str) -> None:
    refusal = an_answer(403, "AuthorizationPermissionMismatch")

    trouble = explain_refusal(refusal, right, IDENTITY, "somewhere")

    assert f"may not {right.doing} in somewhere: missing {action} " in str(trouble)
    assert right.role in trouble.remedy


def test_a_missing_queue_is_told_from_a_missing_container() -> None:
    refusal = an_answer(404, "QueueNotFound", ResourceNotFoundError)

    assert explain_refusal(refusal, PUT_MESSAGE, KEY, "queue plans").code == Code.QUEUE_MISSING
