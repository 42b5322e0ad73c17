"""The axes of a drawing, to look at what is on them."""

import pytest


@pytest.fixture
def drawn(monkeypatch):
    """A function of a module's name: the axes that its next picture has, in a list that fills."""

    def of(module: str, picture: str = "figure_picture") -> list:
        axes = []
        monkeypatch.setattr(
            f"musicgen_edu.figures.{module}.{picture}", lambda figure, told, **_: axes.extend(figure.axes) or told
        )
        return axes

    return of
