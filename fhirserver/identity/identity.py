"""All of a tenant's identity in one place, put together from what `app` passes in."""

from __future__ import annotations

from collections.abc import Callable

from fhirserver.identity.accounts import Accounts
from fhirserver.identity.administration import Administration
from fhirserver.identity.attempts import Attempts
from fhirserver.identity.credentials import Credentials
from fhirserver.identity.factors import Factors
from fhirserver.identity.passkeys import Passkeys
from fhirserver.identity.password import Hasher
from fhirserver.identity.seal import derived
from fhirserver.identity.sessions import Lives, Sessions
from fhirserver.identity.sign_in import SignIn
from fhirserver.identity.slowdown import Slowdown
from fhirserver.store.records import Records


class Identity:
    """Accounts, sessions and the ways in.

    `key` (32 bytes) is the tenant's, of a file like that of page links; from it are made the
    keys of secrets, of recovery codes, of marks in forms (`form_key`) and of nonces (`nonce_key`).
    `hasher` and `slowdown` may be shared by all tenants of a process. `now` gives microseconds
    since 1970, `new_id` ids never given before, `random` that many bytes nobody can guess.
    """

    def __init__(
        self,
        records: Records,
        *,
        key: bytes,
        now: Callable[[], int],
        new_id: Callable[[], str],
        random: Callable[[int], bytes],
        hasher: Hasher | None = None,
        slowdown: Slowdown | None = None,
        lives: Lives | None = None,
        two_step_roles: frozenset[str] = frozenset(),
    ) -> None:
        self.now = now
        self.random = random
        self.form_key = derived(key, "forms")
        self.nonce_key = derived(key, "nonces")
        self.hasher = hasher or Hasher(random=random)
        self._is_own = hasher is None
        self.accounts = Accounts(records, now=now, new_id=new_id)
        self.sessions = Sessions(records, self.accounts, now=now, random=random, lives=lives)
        self.attempts = Attempts(records, now=now)
        self.credentials = Credentials(records, self.accounts, self.hasher, now=now, random=random)
        self.factors = Factors(records, self.accounts, key=key, now=now, random=random)
        self.passkeys = Passkeys(records, now=now, random=random)
        self.administration = Administration(
            self.accounts, self.credentials, self.factors, self.attempts, self.sessions
        )
        self.sign_in = SignIn(
            self.accounts,
            self.sessions,
            self.credentials,
            self.factors,
            self.passkeys,
            self.attempts,
            slowdown or Slowdown(),
            random=random,
            two_step_roles=two_step_roles,
        )

    def close(self) -> None:
        """Ends the threads that hash, if they are no one else's."""
        if self._is_own:
            self.hasher.close()
