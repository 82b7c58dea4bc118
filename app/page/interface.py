"""The page: its frame, its two tabs, and how it is served. No model code, no parsing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.api import Api
from app.models import ModelStore
from app.page.inspector_panel import InspectorPanel
from app.page.sessions import Sessions
from app.page.summary_panel import SummaryPanel
from app.settings import Settings

ASSETS = Path(__file__).resolve().parents[2] / "assets"
TITLE = "LongT5 paper summaries"
HEADER = (
    f"<header><h1>{TITLE}</h1><p>Drop in a whole paper. Read its summary, check each sentence against its "
    "page, and look into the attention of the model that wrote it.</p></header>"
)
# Saves files in the browser and brings clicks in figures to the server; draws nothing itself.
COURIER_JS = """
window.longt5.send = (kind, detail) => trigger('click', detail);
watch('value', () => window.longt5.save(props.value));
"""
ACCENT, ACCENT_STRONG = "#0f766e", "#115e59"
OLDEST_FILE = 3600  # seconds: what is left behind by uploads that were broken off


def build(settings: Settings, store: ModelStore) -> gr.Blocks:
    """The page and its API, not yet served."""
    sessions = Sessions(settings.session_seconds)
    with gr.Blocks(
        title=TITLE, delete_cache=(OLDEST_FILE // 4, OLDEST_FILE), analytics_enabled=False
    ) as page:
        gr.HTML(HEADER, elem_id="header")
        courier = gr.HTML(html_template="", js_on_load=COURIER_JS, elem_id="courier")
        with gr.Tabs(selected="summary") as tabs:
            with gr.Tab("Summary", id="summary"):
                summary = SummaryPanel(store, sessions, courier)
            with gr.Tab("Attention", id="attention") as tab:
                inspector = InspectorPanel(store, sessions, courier)
        inspector.wire(tab, tabs, summary)
        Api(store, sessions)

        def leave(request: gr.Request) -> None:
            sessions.drop(str(request.session_hash))

        page.unload(leave)
    # People see and wait in the model's own queue (`ModelStore.turns`); this one only bounds requests.
    page.queue(max_size=8 * settings.queue_size, default_concurrency_limit=4)
    return page


def launch_options(settings: Settings) -> dict[str, Any]:
    """What `Blocks.launch` is to be called with."""
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "max_file_size": settings.max_upload_bytes,
        "max_threads": 40 + 2 * settings.queue_size,  # each one that waits for the model holds a thread
        "mcp_server": settings.mcp,
        "share": False,
        "show_error": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": ["api", "settings"],
        "favicon_path": str(ASSETS / "favicon.png"),
        "theme": theme(),
        "css": "\n".join(_asset(name) for name in ("app.css", "figures.css")),
        "head": "".join(f"<script>{_asset(name)}</script>" for name in ("app.js", "figures.js")),
    }


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Quiet greys, one teal accent, system fonts (nothing is fetched from elsewhere)."""
    sans = ["Inter", "ui-sans-serif", "system-ui", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=sans,
        font_mono=["ui-monospace", "SFMono-Regular", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    )
    # White on this teal has a contrast of 5.5, on Gradio's own one of 2.5.
    return theme.set(
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_hover=ACCENT_STRONG,
        button_primary_background_fill_dark=ACCENT,
        button_primary_background_fill_hover_dark=ACCENT_STRONG,
        button_secondary_background_fill="*background_fill_primary",
        button_secondary_background_fill_hover="*background_fill_secondary",
        button_secondary_background_fill_dark="*background_fill_secondary",
        button_secondary_background_fill_hover_dark="*border_color_primary",
        button_secondary_border_color="*border_color_primary",
        button_secondary_border_color_dark="*border_color_primary",
        button_border_width="1px",
    )
