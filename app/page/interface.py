"""The page: its frame, its two tabs, and how it is served. No model code, no parsing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.api import Api
from app.models import ModelStore
from app.page.inspector_panel import InspectorPanel
from app.page.summary_panel import SummaryPanel
from app.page.visitors import Visitors, key_of
from app.programs import Programs
from app.service.uploads import Uploads
from app.settings import Settings

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SCRIPTS = ("stream.js", "app.js", "paper.js", "summary.js", "figures.js")
STYLES = ("app.css", "figures.css")
TITLE = "LongT5 Reader"
HEADER = f"<header><h1>{TITLE}</h1><p>What a paper says, and where it says so.</p></header>"
# Saves files in the browser and brings clicks in figures to the server; draws nothing itself.
COURIER_JS = """
window.longt5.send = (kind, detail) => trigger('click', detail);
watch('value', () => window.longt5.save(props.value));
"""
MOST_SESSIONS = 500  # of which Gradio keeps what was changed of every component
ACCENT, ACCENT_STRONG = "#0f766e", "#115e59"
QUIET, QUIET_DARK = "#526071", "#a3b0c2"  # contrasts of 6.3 and 8.5 to what they stand on


def build(
    settings: Settings, store: ModelStore, visitors: Visitors, programs: Programs, uploads: Uploads
) -> gr.Blocks:
    """The page and its API, not yet served."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(HEADER, elem_id="header", apply_default_css=False)
        courier = gr.HTML(html_template="", js_on_load=COURIER_JS, elem_id="courier")
        with gr.Tabs(selected="summary", elem_id="tabs") as tabs:
            with gr.Tab("Summary", id="summary"):
                summary = SummaryPanel(store, visitors, courier)
            with gr.Tab("Attention", id="attention") as tab:
                inspector = InspectorPanel(store, visitors, courier)
        inspector.wire(tab, tabs, summary)
        Api(programs, uploads)

        def leave(request: gr.Request) -> None:
            visitors.leave(key_of(request))

        page.unload(leave)
    # Each request that waits holds a thread, and so does whoever looks at what was made meanwhile.
    page.max_threads = settings.most_requests
    page.state_session_capacity = MOST_SESSIONS
    page.queue(api_open=False)  # nobody goes past it
    return page


def mount_options(settings: Settings) -> dict[str, Any]:
    """What `gr.mount_gradio_app` is to be called with."""
    return {
        "max_file_size": settings.max_upload_bytes,
        "run_history": False,  # nobody asked for a copy of what they read in the browser
        "mcp_server": False,  # ours is `app.service.mcp_tools`
        "show_error": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "footer_links": ["api", "settings"],
        "favicon_path": str(ASSETS / "favicon.png"),
        "theme": theme(),
        "css": "\n".join(_asset(name) for name in STYLES),
        "head": "".join(f"<script>{_asset(name)}</script>" for name in SCRIPTS),
    }


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Quiet greys, one teal accent, system fonts (nothing is fetched from elsewhere)."""
    sans = ["Inter", "ui-sans-serif", "system-ui", "sans-serif"]
    quiet = gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        font=sans,
        font_mono=["ui-monospace", "SFMono-Regular", "monospace"],
        radius_size=gr.themes.sizes.radius_md,
    )
    # White on this teal has a contrast of 5.5, on Gradio's own one of 2.5.
    return quiet.set(
        body_text_color_subdued=QUIET,
        body_text_color_subdued_dark=QUIET_DARK,
        block_info_text_color=QUIET,
        block_info_text_color_dark=QUIET_DARK,
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
