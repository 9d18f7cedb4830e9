"""A C-STORE SCU that costs next to nothing: prepared PDUs over raw sockets, timed per instance.

It knows no service but storage of CT images in explicit VR little endian, and trusts its peer.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def copies(
    count: int, studies: int = 5, series: int = 2, start: int = 0
) -> list[tuple[str, bytes]]:
    """So many CT images of 512 x 512 (some 530 KB), with UIDs of their own: (UID, data set)."""
    import pydicom
    from pydicom.data import get_testdata_file
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    data = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    data.Rows = data.Columns = 512
    data.PixelData = data.PixelData * 16
    data.pop("DataSetTrailingPadding", None)
    made = []
    for number in range(count):
        study = number * studies // count
        data.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.{900000 + study}"
        data.SeriesInstanceUID = f"{data.StudyInstanceUID}.{number % series + 1}"
        data.SOPInstanceUID = f"{data.SeriesInstanceUID}.{number + 1}"
        data.InstanceNumber = number + 1
        data.PatientID = f"BENCH{study}"
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, data)
        made.append((str(data.SOPInstanceUID), buffer.getvalue()))
    return made


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def store_pdus(message: int, uid: str, data: bytes, longest: int) -> bytes:
    """All PDUs of a C-STORE-RQ."""
    elements = (
        _element(0x0002, CT.encode())
        + _element(0x0100, struct.pack("<H", 1))
        + _element(0x0110, struct.pack("<H", message & 0xFFFF))
        + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 1))
        + _element(0x1000, uid.encode())
    )
    command = _element(0, struct.pack("<I", len(elements))) + elements
    out = [struct.pack(">BxIIBB", 4, len(command) + 6, len(command) + 2, 1, 3), command]
    room = longest - 6
    for at in range(0, len(data), room):
        piece = data[at : at + room]
        last = 2 if at + room >= len(data) else 0
        out += [struct.pack(">BxIIBB", 4, len(piece) + 6, len(piece) + 2, 1, last), piece]
    return b"".join(out)


class Association:
    """An association for storage; `store` sends one instance and waits for its status.

    It sends PDUs as long as the peer takes them, up to `pdu`.
    """

    def __init__(self, port: int, called: str, calling: str = "BENCH", pdu: int = 1 << 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # Python's own polls each time
            self.socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 120, 0))
        context = bytes((1, 0, 0, 0)) + _item(0x30, CT.encode()) + _item(0x40, EXPLICIT.encode())
        user = _item(0x51, pdu.to_bytes(4, "big")) + _item(0x52, b"2.25.1")
        items = _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
        titles = called.ljust(16).encode() + calling.ljust(16).encode()
        body = b"\0\1\0\0" + titles + bytes(32) + items
        self.socket.sendall(struct.pack(">BxI", 1, len(body)) + body)
        kind, answer = self._pdu()
        if kind != 2:
            raise ConnectionError(f"not associated: PDU {kind} {answer.hex()}")
        at = answer.find(b"\x51\0\0\4")
        theirs = int.from_bytes(answer[at + 4 : at + 8], "big")
        self.longest = min(theirs or pdu, pdu)

    def _pdu(self) -> tuple[int, bytes]:
        head = self._read(6)
        kind, length = struct.unpack(">BxI", head)
        return kind, self._read(length)

    def _read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                raise ConnectionError("closed")
            got += piece
        return got

    def send(self, pdus: bytes) -> int:
        """The status of what `store_pdus` made."""
        self.socket.sendall(pdus)
        return self._status()

    def send_file(self, descriptor: int, start: int, end: int) -> int:
        """The same of what lies in a file; the kernel copies nothing then."""
        while start < end:
            start += os.sendfile(self.socket.fileno(), descriptor, start, end - start)
        return self._status()

    def store(self, message: int, uid: str, data: bytes) -> int:
        return self.send(store_pdus(message, uid, data, self.longest))

    def _status(self) -> int:
        kind, body = self._pdu()
        if kind != 4:
            raise ConnectionError(f"PDU {kind} {body.hex()}")
        at = 6  # the head of the presentation data value
        while at < len(body):
            group, number, length = struct.unpack_from("<HHI", body, at)
            if (group, number) == (0, 0x0900):
                return int.from_bytes(body[at + 8 : at + 8 + length], "little")
            at += 8 + length
        raise ConnectionError(f"no status {body.hex()}")

    def release(self) -> None:
        self.socket.sendall(struct.pack(">BxI", 5, 4) + bytes(4))
        self._pdu()
        self.socket.close()


@dataclass
class Run:
    """What came of sending. `seconds` from the first to the last response."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds


class Prepared:
    """All messages of an association, in a file in memory."""

    def __init__(self, instances: list[tuple[str, bytes]], longest: int) -> None:
        self.descriptor = os.memfd_create("instances")
        self.ends = [0]
        for number, (uid, data) in enumerate(instances, 1):
            pdus = store_pdus(number, uid, data, longest)
            with open(self.descriptor, "ab", closefd=False) as file:
                file.write(pdus)
            self.ends.append(self.ends[-1] + len(pdus))


def send(port: int, called: str, instances: list[tuple[str, bytes]], associations: int) -> Run:
    """Sends all, spread over so many associations at once."""
    run, lock = Run(), threading.Lock()
    opened = [Association(port, called) for _ in range(associations)]
    prepared = [
        Prepared(instances[n::associations], opened[n].longest) for n in range(associations)
    ]
    start = threading.Barrier(associations + 1)

    def work(association: Association, messages: Prepared) -> None:
        start.wait()
        for place, end in itertools.pairwise(messages.ends):
            began = time.perf_counter()
            status = association.send_file(messages.descriptor, place, end)
            took = time.perf_counter() - began
            with lock:
                run.latencies.append(took)
                run.statuses[status] = run.statuses.get(status, 0) + 1

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(opened, prepared, strict=True)
    ]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    run.seconds = time.perf_counter() - began
    for association, messages in zip(opened, prepared, strict=True):
        association.release()
        os.close(messages.descriptor)
    return run


def cpu_seconds(pids: list[int]) -> float:
    """Processor time of processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100


def peak_megabytes(pid: int) -> float:
    """The most memory that a process had so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0
