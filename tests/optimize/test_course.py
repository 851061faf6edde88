"""What is kept of the way of a minimisation."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mscflow.optimize.course import Course


@given(n_frames=st.integers(1, 30), n_steps=st.integers(1, 400))
def test_few_geometries_are_spread_over_any_number_of_steps(n_frames, n_steps):
    course = Course(n_frames)
    for step in range(n_steps):
        course.add(np.full((2, 3), step))
    kept = [int(frame[0, 0]) for frame in course.frames(np.full((2, 3), n_steps - 1))]
    assert kept[-1] == n_steps - 1
    assert len(kept) <= max(n_frames, 2)
    if n_frames > 2:
        assert kept[0] == 0
        assert len(set(np.diff(kept[:-1]))) <= 1
        assert len(kept) >= min(n_steps, n_frames // 2)


@given(n_frames=st.integers(1, 12), first=st.integers(0, 60), second=st.integers(0, 60))
def test_a_course_goes_on_from_its_arrays(n_frames, first, second):
    whole, begun = Course(n_frames), Course(n_frames)
    for step in range(first):
        whole.add(np.full((1, 3), step))
        begun.add(np.full((1, 3), step))
    resumed = Course.of(begun.arrays(), n_frames)
    for step in range(first, first + second):
        whole.add(np.full((1, 3), step))
        resumed.add(np.full((1, 3), step))
    last = np.full((1, 3), first + second)
    np.testing.assert_array_equal(np.array(whole.frames(last)), np.array(resumed.frames(last)))


@given(before=st.integers(1, 12), after=st.integers(1, 12), first=st.integers(1, 60))
def test_a_course_goes_on_with_another_number_of_geometries(before, after, first):
    begun = Course(before)
    for step in range(first):
        begun.add(np.full((1, 3), step))
    resumed = Course.of(begun.arrays(), after)
    for step in range(first, first + 40):
        resumed.add(np.full((1, 3), step))
    kept = [int(frame[0, 0]) for frame in resumed.frames(np.full((1, 3), first + 39))]
    assert kept[0] == 0
    assert kept == sorted(set(kept))
    assert len(kept) <= max(after, 2)
