"""Passkeys (WebAuthn Level 3, https://www.w3.org/TR/webauthn-3/): challenges and answers.

The authenticator must have verified its user (PIN, finger, face). So a passkey is two factors at
once: who has one can sign in by it alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from fhirserver.errors import Invalid
from fhirserver.identity.account import Account, Passkey
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "identity.challenge"
MOST: Final = 20
"""Passkeys of one account."""

_CHALLENGE_BYTES: Final = 32
_ANSWERED_WITHIN: Final = 300_000_000  # microseconds
_TIMEOUT: Final = 300_000  # the same, in milliseconds, for the browser
_LONGEST_ANSWER: Final = 64 * 1024
_NOT_ACCEPTED: Final = "The passkey was not accepted. Try again."


class Answer(NamedTuple):
    """What a browser answered: the credential's id, whose it says it is, the JSON itself."""

    id: bytes
    account: str | None
    text: str


class Passkeys:
    """`now` gives microseconds since 1970, `random` bytes nobody can guess.

    `about` binds a challenge to what it is for: the answer must come with the same.
    """

    def __init__(
        self, records: Records, *, now: Callable[[], int], random: Callable[[int], bytes]
    ) -> None:
        self._records = records
        self._now = now
        self._random = random

    async def ask_new(self, account: Account, origin: str, about: str) -> str:
        """What `navigator.credentials.create` is to be called with, as JSON."""
        from webauthn import generate_registration_options, options_to_json
        from webauthn.helpers import structs

        if len(account.passkeys) >= MOST:
            raise Invalid(f"An account has {MOST} passkeys at the most. Remove one first.")
        options = generate_registration_options(
            rp_id=_site(origin),
            rp_name="FHIR server",
            user_id=account.id.encode(),
            user_name=account.name,
            user_display_name=account.called,
            challenge=await self._challenge(about),
            timeout=_TIMEOUT,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.PREFERRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                structs.PublicKeyCredentialDescriptor(id=key.id) for key in account.passkeys
            ],
        )
        return options_to_json(options)

    async def made(self, text: str, name: str, origin: str, about: str) -> Passkey:
        """The passkey that a browser made. Raises `Invalid`."""
        from webauthn import verify_registration_response
        from webauthn.helpers.exceptions import WebAuthnException

        challenge = await self._answered(text, about)
        try:
            found = verify_registration_response(
                credential=text,
                expected_challenge=challenge,
                expected_rp_id=_site(origin),
                expected_origin=origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError) as error:
            raise Invalid(_NOT_ACCEPTED) from error
        return Passkey(
            id=found.credential_id,
            key=found.credential_public_key,
            count=found.sign_count,
            name=name.strip()[:60] or "Passkey",
            since=self._now(),
        )

    async def ask(self, account: Account | None, origin: str, about: str) -> str:
        """What `navigator.credentials.get` is to be called with; None: whoever has one."""
        from webauthn import generate_authentication_options, options_to_json
        from webauthn.helpers import structs

        options = generate_authentication_options(
            rp_id=_site(origin),
            challenge=await self._challenge(about),
            timeout=_TIMEOUT,
            allow_credentials=[
                structs.PublicKeyCredentialDescriptor(id=key.id)
                for key in (account.passkeys if account else ())
            ],
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    async def verified(self, answer: Answer, account: Account, origin: str, about: str) -> Passkey:
        """The account's passkey that answered, as used now. Raises `Invalid`.

        A signature counter that did not grow is refused: somebody may have copied the key.
        """
        from webauthn import verify_authentication_response
        from webauthn.helpers.exceptions import WebAuthnException

        challenge = await self._answered(answer.text, about)
        passkey = next((one for one in account.passkeys if one.id == answer.id), None)
        if passkey is None or answer.account not in (None, account.id):
            raise Invalid(_NOT_ACCEPTED)
        try:
            found = verify_authentication_response(
                credential=answer.text,
                expected_challenge=challenge,
                expected_rp_id=_site(origin),
                expected_origin=origin,
                credential_public_key=passkey.key,
                credential_current_sign_count=passkey.count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError) as error:
            raise Invalid(_NOT_ACCEPTED) from error
        return msgspec.structs.replace(passkey, count=found.new_sign_count, used=self._now())

    async def _challenge(self, about: str) -> bytes:
        challenge = self._random(_CHALLENGE_BYTES)
        expires = self._now() + _ANSWERED_WITHIN
        await self._records.put(
            COLLECTION, _key(challenge), about.encode(), expected=ABSENT, expires=expires
        )
        return challenge

    async def _answered(self, text: str, about: str) -> bytes:
        """The challenge of an answer, which is used up by that. Raises `Invalid`."""
        challenge = _challenge_of(text)
        record = await self._records.get(COLLECTION, _key(challenge))
        if record is None or record.body != about.encode():
            raise Invalid(_NOT_ACCEPTED)
        try:
            await self._records.delete(COLLECTION, record.key, expected=record.revision)
        except Stale as error:
            raise Invalid(_NOT_ACCEPTED) from error
        return challenge


def read_answer(text: str) -> Answer:
    """What `navigator.credentials.get` gave, as JSON. Raises `Invalid`; proves nothing yet."""
    from webauthn.helpers import parse_authentication_credential_json
    from webauthn.helpers.exceptions import WebAuthnException

    if len(text) > _LONGEST_ANSWER:
        raise Invalid(_NOT_ACCEPTED)
    try:
        found = parse_authentication_credential_json(text)
        handle = found.response.user_handle
        return Answer(found.raw_id, handle.decode() if handle else None, text)
    except (WebAuthnException, ValueError, TypeError, AttributeError) as error:
        raise Invalid(_NOT_ACCEPTED) from error


def _challenge_of(text: str) -> bytes:
    from webauthn.helpers import base64url_to_bytes, parse_client_data_json
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        told = msgspec.json.decode(text if len(text) <= _LONGEST_ANSWER else "")
        client_data = base64url_to_bytes(told["response"]["clientDataJSON"])
        return parse_client_data_json(client_data).challenge
    except (WebAuthnException, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Invalid(_NOT_ACCEPTED) from error


def _site(origin: str) -> str:
    """The relying party id: the host, so that a passkey is of this host alone."""
    return urlsplit(origin).hostname or ""


def _key(challenge: bytes) -> str:
    return hashlib.sha256(challenge).hexdigest()
