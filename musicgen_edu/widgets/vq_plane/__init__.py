"""Vector quantization in the plane (lesson 02): k-means in half-steps, centroids moved by hand.

`Plane` holds points, centroids and the moves; `picture` draws it; `PlanePanel` puts controls around both.
"""

from .drawing import picture, still
from .panel import PlanePanel
from .state import Plane

__all__ = ["Plane", "PlanePanel", "picture", "still"]
