"""Whether a picture is whole."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lightning_modules.tasks.pictures.figure import style

TOLERANCE = 0.02  # inches, of rounding


def cut_off(figure: Figure) -> list[str]:
    """The edges of the figure beyond which it would reach."""
    with style():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        box = figure.get_tightbbox(canvas.get_renderer())
    width, height = figure.get_size_inches()
    beyond = {"left": -box.x0, "bottom": -box.y0, "right": box.x1 - width, "top": box.y1 - height}
    return [edge for edge, inches in beyond.items() if inches > TOLERANCE]
