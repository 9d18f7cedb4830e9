"""Servers of object storage for the tests, each a process on a free loopback port, with an empty
bucket or container `images`. Each gives the environment variables by which a server reaches it.

* `azure`: Azurite, Microsoft's own double of Azure Blob Storage, which checks signatures. It is
  found on PATH (`npm install -g azurite`).
* `gcs`: fake-gcs-server with uploads by `gcs/`, which checks no credentials. Needs Go.

What each of them cannot show is written down in docs/imaging-archive.md.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from wire.server import Absent, made, ran, told

BUCKET = "images"
ACCOUNT = "fhirserver"

_AZURITE = "azurite-blob"
_GO = Path(__file__).parent / "gcs"
_LISTENS = "successfully listens on "
_VERSION = "2021-08-06"


@contextmanager
def azure(folder: Path) -> Iterator[dict[str, str]]:
    """The variables of a container `images` in a storage account. Raises `Absent`."""
    found = shutil.which(_AZURITE)
    if found is None:
        raise Absent(f"{_AZURITE} is not installed.")
    key = base64.b64encode(os.urandom(64)).decode()
    with subprocess.Popen(
        [found, "--blobPort", "0", "--inMemoryPersistence", "--disableTelemetry", "--silent"],
        cwd=folder,
        env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            address = _told(process)
            _make_container(address, key)
            yield {
                "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": key,
                "AZURE_STORAGE_ENDPOINT": f"{address}/{ACCOUNT}",
                "AZURE_ALLOW_HTTP": "true",
            }
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def gcs(folder: Path) -> Iterator[dict[str, str]]:
    """The variables of a service account that may use a bucket `images`. Raises `Absent`."""
    built = made("gcs", sorted(_GO.iterdir()), _build)
    with told([str(built / "gcs"), BUCKET]) as address:
        file = folder / "service-account.json"
        file.write_text(json.dumps(_service_account(address)))
        yield {"GOOGLE_SERVICE_ACCOUNT": str(file)}


CLOUDS = {"azure": (azure, "az"), "gcs": (gcs, "gs")}
"""What starts each, and the scheme of its addresses."""


def _build(into: Path) -> None:
    ran("fake-gcs-server cannot be built", ["go", "build", "-o", str(into / "gcs"), "."], _GO)


def _told(process: subprocess.Popen[str]) -> str:
    """The address that Azurite tells when it listens."""
    for line in process.stdout or ():
        if _LISTENS in line:
            return line.partition(_LISTENS)[2].strip()
    raise AssertionError("Azurite did not start")


def _make_container(address: str, key: str) -> None:
    """By a request with a shared key, as obstore makes no containers.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """
    date = formatdate(usegmt=True)
    resource = f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    signed = f"PUT{12 * chr(10)}x-ms-date:{date}\nx-ms-version:{_VERSION}\n{resource}"
    proof = base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), "sha256")).decode()
    asked = urllib.request.Request(
        f"{address}/{ACCOUNT}/{BUCKET}?restype=container",
        method="PUT",
        headers={
            "Authorization": f"SharedKey {ACCOUNT}:{proof}",
            "x-ms-date": date,
            "x-ms-version": _VERSION,
        },
    )
    urllib.request.urlopen(asked).close()


def _service_account(address: str) -> dict[str, str]:
    """A key file as Google's console gives it, but for the address."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "client_email": "images@test.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": pem,
        "gcs_base_url": address,
    }
