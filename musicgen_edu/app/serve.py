"""Serving the app: `musicgen-edu app`. Built with Gradio, and silent: it sends and fetches nothing."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before the import, which reads it
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from .page import Page
from .service import Service

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_UPLOAD = "50mb"
FONTS = ["Helvetica", "Arial", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "WenQuanYi Zen Hei", "sans-serif"]
STYLE = """
.gradio-container { max-width: 1100px !important; margin: auto !important }
.html-container:has(.news) { padding: 0 !important }
.news { border-left: 4px solid currentColor; padding: 6px 12px; line-height: 1.5 }
.news.error { border: 2px solid currentColor }
.news progress { width: 100%; height: 12px; accent-color: #c2410c }
"""
# Gradio's own grey and orange are too pale to read: these have a contrast of 4.5 at the least.
COLOURS = {
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "block_title_text_color": "*neutral_700",
    "block_label_text_color": "*neutral_700",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
}


def find_ffmpeg() -> None:
    """Put an `ffmpeg` on the PATH: Gradio's stream is AAC, and the package imageio-ffmpeg carries an encoder.

    Raises:
        ValueError: there is none.
    """
    if shutil.which("ffmpeg"):
        return
    try:
        import imageio_ffmpeg

        found = Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise ValueError("the app needs ffmpeg to stream sound: pip install imageio-ffmpeg") from error
    folder = Path(tempfile.mkdtemp(prefix="musicgen-edu-ffmpeg-"))
    name = folder / f"ffmpeg{found.suffix if os.name == 'nt' else ''}"
    try:
        name.symlink_to(found)
    except OSError:  # Windows allows links to few
        shutil.copy(found, name)
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", "")])


def launch(service: Service, host: str = "127.0.0.1", port: int | None = None, block: bool = True) -> Page:
    """Serve the page.

    Args:
        service: what meets the requests.
        host: the address to listen on; another than the loopback address opens the app to the network.
        port: None takes the first free one from 7860 on.
        block: stay until it is interrupted.

    Raises:
        ValueError: no ffmpeg.
        OSError: the port is taken, or the host is no address of this computer.
    """
    find_ffmpeg()
    if host not in LOOPBACK:
        print(f"musicgen-edu: warning: {host} lets everybody on the network use this app", file=sys.stderr)
    page = Page(service)
    requests = service.limits.concurrent + service.limits.queue
    page.blocks.queue(max_size=requests + 64, default_concurrency_limit=None)
    try:
        page.blocks.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            max_threads=requests + 40,  # each that waits holds a thread
            share=False,
            quiet=True,
            ssr_mode=False,
            enable_monitoring=False,
            footer_links=[],
            max_file_size=LARGEST_UPLOAD,
            theme=gr.themes.Default(font=FONTS, font_mono=["monospace"]).set(**COLOURS),
            css=STYLE,
        )
    except OSError as error:
        where = f"port {port}" if port else "ports 7860 to 7959"
        raise OSError(f"cannot listen on {host}, {where}: taken, or no address of this computer") from error
    print(f"musicgen-edu: open {page.blocks.local_url} in a browser; end it with Ctrl+C")
    if block:
        page.blocks.block_thread()
    return page
