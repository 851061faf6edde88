"""A few geometries on the way of a minimisation, evenly spread over however many steps it takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class Course:
    """Keeps every so many-th geometry, and fewer the longer it lasts.

    Parameters
    ----------
    n_frames
        Geometries kept at most, the last one included; 0 keeps none.
    """

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames
        self.stride, self.count = 1, 0
        self.kept: list[np.ndarray] = []

    def add(self, positions: np.ndarray) -> None:
        """Take the next geometry, shape (n_atoms, 3)."""
        if self.n_frames and self.count % self.stride == 0:
            self.kept.append(positions.copy())
            self._thin()
        self.count += 1

    def _thin(self) -> None:
        while len(self.kept) >= max(self.n_frames, 2):
            self.kept, self.stride = self.kept[::2], 2 * self.stride

    def frames(self, last: np.ndarray) -> list[np.ndarray]:
        """Return what was kept and the last geometry."""
        if not self.n_frames:
            return []
        known = bool(self.kept) and np.array_equal(self.kept[-1], last)
        return self.kept if known else [*self.kept, last]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything as arrays for a file; see `of`."""
        return {"course": np.array([self.n_frames, self.stride, self.count]), "frames": np.array(self.kept)}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], n_frames: int) -> Course:
        """Return the course whose `arrays` are given, with `n_frames` from now on.

        It is a new one where they hold no geometry, or none is wanted any more.
        """
        if not n_frames or not len(arrays.get("frames", ())):
            return cls(n_frames)
        course = cls(n_frames)
        _, course.stride, course.count = (int(number) for number in arrays["course"])
        course.kept = list(arrays["frames"])
        course._thin()
        return course
