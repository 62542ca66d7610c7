"""Drawing in braille: every dot where it belongs, one colour a cell, honest zooming."""

import numpy as np

from lorajax_tui.braille import FEW, View, draw, fitted, nearest, towards


def lit_dots(codes: np.ndarray) -> set[tuple[int, int]]:
    """(right, down) of every raised dot, read from the characters themselves."""
    places = {1: (0, 0), 2: (0, 1), 4: (0, 2), 8: (1, 0)}
    places |= {16: (1, 1), 32: (1, 2), 64: (0, 3), 128: (1, 3)}
    return {
        (2 * column + right, 4 * row + down)
        for (row, column), code in np.ndenumerate(codes)
        for bit, (right, down) in places.items()
        if (code - 0x2800) & bit
    }


def test_many_points_are_one_dot_each_and_few_are_four() -> None:
    view = View(0.0, 0.0, 1.0, width=4, height=2)  # dots 0…7 to the right, 0…7 down
    corners = np.array([[-4.0, 3.5], [3.5, -3.5], [100.0, 0.0]])
    codes, colours = draw(corners, np.array([1, 2, 0]), view)
    assert lit_dots(codes) == {(0, 0), (1, 0), (0, 1), (1, 1), (7, 7)}
    assert colours[0, 0] == 1 and colours[1, 3] == 2
    assert (colours[0, 1:] == -1).all()
    many = np.repeat(corners, FEW, axis=0)
    codes, _ = draw(many, np.zeros(len(many), int), view)
    assert lit_dots(codes) == {(0, 0), (7, 7)}


def test_a_cell_has_the_colour_of_most_of_its_points() -> None:
    view = View(0.0, 0.0, 1.0, width=2, height=1)
    points = np.array([[-1.9, 0.1]] * 3 + [[-1.9, 1.1]] * 2)
    _, colours = draw(points, np.array([5, 5, 5, 2, 2]), view)
    assert colours[0, 0] == 5
    codes, colours = draw(np.zeros((0, 2)), np.zeros(0, int), view)
    assert (codes == 0x2800).all() and (colours == -1).all()


def test_what_lies_under_a_cell_stays_there_when_zooming() -> None:
    view = fitted(np.array([[-1.0, -2.0], [3.0, 2.0]]), 40, 20)
    before = view.place(7, 15)
    after = view.zoomed(3.0, 7, 15)
    np.testing.assert_allclose(after.place(7, 15), before)
    assert after.scale == 3 * view.scale
    np.testing.assert_allclose(
        view.moved(2, -1).place(5, 6), view.place(7, 5), atol=1e-12
    )


def test_everything_is_seen_at_first_and_found_by_its_cell() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2)) * [100, 1]
    view = fitted(points, 60, 20)
    dots = view.dots(points)
    assert (dots >= 0).all() and (dots < (120, 80)).all()
    right, down = dots[17]
    assert nearest(points, view, (right - 1) / 2, (down - 2) / 4) == 17
    assert nearest(points[:0], view, 3, 3) is None


def test_steps_go_where_they_point() -> None:
    points = np.array([[0.0, 0.0], [1.0, 0.9], [2.0, 0.0], [0.0, 1.0], [0.1, -3.0]])
    assert towards(points, 0, 1, 0) == 2  # straight on before one beside
    assert towards(points, 0, 0, -1) == 3  # up on the screen is larger y
    assert towards(points, 0, 0, 1) == 4
    assert towards(points, 0, -1, 0) is None
