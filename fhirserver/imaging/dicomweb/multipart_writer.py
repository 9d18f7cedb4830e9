"""multipart/related answers, part by part (RFC 2387; DICOM PS3.18, 8.6.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

END: Final = b"--\r\n"


@dataclass(frozen=True, slots=True)
class MultipartWriter:
    """Makes what stands around the parts. `boundary` is one that no content can hold.

    `type` is the media type of the parts, which the Content-Type of the whole names.
    """

    boundary: str
    type: str

    @property
    def content_type(self) -> bytes:
        """The Content-Type of the whole body."""
        return f'multipart/related; type="{self.type}"; boundary={self.boundary}'.encode("ascii")

    def head(self, content_type: str, length: int | None = None, location: str = "") -> bytes:
        """What stands before a part; the content follows, and then the next head or `end`."""
        lines = [f"\r\n--{self.boundary}", f"Content-Type: {content_type}"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        if location:
            lines.append(f"Content-Location: {location}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    @property
    def end(self) -> bytes:
        """What stands behind the last part."""
        return f"\r\n--{self.boundary}".encode("ascii") + END
