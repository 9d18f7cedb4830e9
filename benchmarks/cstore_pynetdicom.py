"""A C-STORE SCP by pynetdicom, tuned: 128 KB PDUs, no Nagle, quick acknowledgements.

python -m benchmarks.cstore_pynetdicom PORT FOLDER
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.transport import AssociationSocket


def _quick() -> None:
    """Acknowledges at once what comes: else senders with Nagle's algorithm wait 40 ms."""
    plain = AssociationSocket.recv

    def recv(self: Any, nr_bytes: int) -> bytearray:
        found = plain(self, nr_bytes)
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return found

    AssociationSocket.recv = recv  # type: ignore[method-assign]


def main(port: int, folder: Path) -> None:
    _quick()

    def opened(event: Any) -> None:
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def stored(event: Any) -> int:
        data = event.encoded_dataset()
        path = folder / hashlib.sha256(data).hexdigest()
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        return 0

    entity = AE("PYNETDICOM")
    entity.maximum_pdu_size = 131072
    entity.maximum_associations = 100
    entity.supported_contexts = AllStoragePresentationContexts
    entity.start_server(
        ("127.0.0.1", port),
        evt_handlers=[(evt.EVT_CONN_OPEN, opened), (evt.EVT_C_STORE, stored)],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
