"""The look that apps may take on (SMART App Launch 2.2, "Styling"); public JSON."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

STYLE: Final = {
    "color_background": "#f4f6f8",
    "color_error": "#a3161f",
    "color_highlight": "#0b5cad",
    "color_modal_backdrop": "",
    "color_success": "#1d6b37",
    "color_text": "#17222d",
    "dim_border_radius": "6px",
    "dim_font_size": "16px",
    "dim_spacing_size": "16px",
    "font_family_body": "system-ui, sans-serif",
    "font_family_heading": "system-ui, sans-serif",
}
"""The values of our own pages (auth/pages/static/style.css)."""

_BODY: Final = msgspec.json.encode(STYLE)


async def style(request: Request) -> Response:
    """`/style.json`, at which `smart_style_url` points."""
    return Response(
        _BODY,
        media_type="application/json",
        headers={
            "Access-Control-Allow-Origin": "*",
            "Cache-Control": "public, max-age=3600",
            "X-Content-Type-Options": "nosniff",
        },
    )
