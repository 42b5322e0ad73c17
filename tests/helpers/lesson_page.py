"""What the browser tests share: opening and running a lesson, moving a slider, waiting for words."""

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
# Milliseconds from a key press to the new picture on the page: through the browser, the kernel and back.
TIMED_MOVE = """([panel, handle]) => new Promise(done => {
    const svg = panel.querySelector('svg'), before = svg.getAttribute('aria-label'), start = performance.now();
    const watch = new MutationObserver(() => {
        const now = panel.querySelector('svg');
        if (now && now.getAttribute('aria-label') !== before) { watch.disconnect(); done(performance.now() - start); }
    });
    watch.observe(panel, {subtree: true, childList: true, attributes: true, characterData: true});
    handle.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true, cancelable: true}));
})"""

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


def open_lesson(browser, address: str, cell: str, words: str, height: int = 1000):
    """Open a lesson, run all its cells, and go to one: the page, and the first panel on it with those words.

    Args:
        browser: the fixture.
        address: of the lesson, from the fixture `lab`.
        cell: id of the cell that shows the panel; JupyterLab keeps only the cells near the window on the page.
        words: that stand on the panel and on no other.
        height: of the window, in pixels.
    """
    page = browser.new_page(viewport={"width": 1280, "height": height})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_function("window.jupyterapp")
    assert page.evaluate(RUN_ALL) is True, "a cell of the lesson failed"
    page.evaluate(SHOW_CELL, cell)
    panel = page.locator(".widget-vbox", has_text=words).first
    panel.wait_for()
    return page, panel
