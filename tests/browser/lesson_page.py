"""What the browser tests share: running an open lesson, finding a cell, moving a slider, waiting for words."""

from __future__ import annotations

PATIENCE = 240_000  # ms; a busy machine with two cores needs it
RUN_ALL = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    while (!app.shell.currentWidget?.sessionContext) await new Promise(done => setTimeout(done, 100));
    const panel = app.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    return await app.commands.execute('notebook:run-all-cells');
}"""


SHOW_CELL = """async (id) => {
    const cells = window.jupyterapp.shell.currentWidget.content;
    const index = cells.widgets.findIndex(cell => cell.model.id === id);
    cells.activeCellIndex = index;
    await cells.scrollToItem(index, 'start');
}"""


def wait_for_text(panel, text: str) -> None:
    panel.get_by_text(text).first.wait_for()


def move(panel, label: str, key: str) -> None:
    """Focus a slider's handle and press a key."""
    slider = panel.locator(".widget-slider", has_text=label)
    slider.locator(".noUi-handle").focus()
    slider.locator(".noUi-handle").press(key)
