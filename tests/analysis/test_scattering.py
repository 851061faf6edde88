"""The Debye equation against a plain sum over all pairs, and against what is known of clusters."""

import numpy as np
import pytest
from scipy.signal import find_peaks, peak_widths
from scipy.spatial.transform import Rotation

import mscflow
from mscflow.analysis.scattering import (
    Settings,
    diffraction,
    form_factor,
    intensity,
    pdf,
    structure_function,
)
from mscflow.builder import build
from mscflow.cluster import Cluster
from mscflow.errors import InputError

IN4P = build("In4P")


def plain_intensity(cluster: Cluster, settings: Settings) -> np.ndarray:
    """Every pair of atoms, one after the other."""
    q = settings.q
    factors = [
        form_factor(s, q, settings.radiation) * np.exp(-(q**2) * settings.displacement(s) / 2)
        for s in cluster.symbols
    ]
    total = sum(form_factor(s, q, settings.radiation) ** 2 for s in cluster.symbols)
    for i, (a, x) in enumerate(zip(factors, cluster.positions, strict=True)):
        for b, y in zip(factors[:i], cluster.positions[:i], strict=True):
            phase = q * np.linalg.norm(x - y)
            total += 2 * a * b * np.sin(phase) / phase
    return total


@pytest.mark.parametrize("radiation", ["x-ray", "neutron"])
def test_bins_change_nothing(radiation):
    settings = Settings(qmax=20.0, u_iso={"In": 0.004, "P": 0.006}, radiation=radiation)
    exact = plain_intensity(IN4P, settings)
    assert np.abs(intensity(IN4P, settings) - exact).max() < 1e-4 * exact.max()


@pytest.mark.parametrize("qstep", [0.05, 0.01])
def test_a_range_from_zero_starts_at_its_first_step(qstep):
    settings = Settings(0.0, 10.0, qstep)
    assert settings.q[0] == pytest.approx(qstep)
    exact = plain_intensity(IN4P, settings)
    np.testing.assert_allclose(intensity(IN4P, settings), exact, rtol=1e-3)


def test_diffraction_is_the_sum_over_all_pairs():
    angles, pattern = diffraction(IN4P)
    q = 4 * np.pi / 1.5406 * np.sin(np.radians(angles / 2))
    grid = Settings(0.3, 6.0, 0.002)
    exact = np.interp(q, grid.q, plain_intensity(IN4P, grid)) / len(IN4P)
    np.testing.assert_allclose(pattern, exact, rtol=2e-3)


def test_form_factors_begin_with_the_number_of_electrons_and_fall():
    q = np.linspace(0.0, 25.0, 50)
    for symbol, electrons in (("H", 1), ("P", 15), ("Se", 34), ("In", 49)):
        factor = form_factor(symbol, q)
        assert factor[0] == pytest.approx(electrons, abs=0.02)
        assert factor[-1] < 0.3 * electrons
    with pytest.raises(InputError, match="no x-ray scattering factor for Xx"):
        form_factor("Xx", q)


def test_two_atoms_give_one_peak_where_they_are():
    pair = Cluster(("Se", "Se"), np.array([[0, 0, 0], [0, 0, 2.6]]))
    found = pdf(pair, rmax=6.0, rstep=0.005)
    assert found.r[found.g.argmax()] == pytest.approx(2.6, abs=0.02)
    peaks, _ = find_peaks(found.g, prominence=0.6 * found.g.max())
    assert len(peaks) == 1


def pair_function(**settings):
    """G(r) of two atoms 2.6 Å apart, every Q measured."""
    pair = Cluster(("Se", "Se"), np.array([[0, 0, 0], [0, 0, 2.6]]))
    return pdf(
        pair, **{"rmin": 1.5, "rmax": 3.7, "rstep": 0.005, "qmin": 0, "qmax": 60, "qdamp": 0, **settings}
    )


def test_a_peak_holds_the_number_of_neighbours():
    """G(r) = R(r)/r of a particle, and the radial distribution function R counts neighbours."""
    found = pair_function()
    assert np.trapezoid(found.r * found.g, found.r) == pytest.approx(1, abs=1e-3)


def test_the_resolution_of_the_instrument_damps_and_broadens():
    found = pair_function()
    damped = np.exp(-((0.1 * found.r) ** 2) / 2)
    np.testing.assert_allclose(pair_function(qdamp=0.1).g, found.g * damped, atol=1e-10)
    broad = pair_function(qbroad=0.05)
    variance = np.trapezoid((found.r - 2.6) ** 2 * found.r * broad.g, found.r)
    assert variance == pytest.approx(2 * 0.005 + (2.6 * 0.05) ** 2, rel=0.02)


def test_form_factors_are_tabulated_ones():
    assert form_factor("H", np.ones(1), "neutron") == pytest.approx(-3.74, abs=0.01)
    assert form_factor("C", np.array([2 * np.pi])) == pytest.approx(1.69, abs=0.02)


def test_neither_orientation_nor_order_matters():
    order = np.random.default_rng(0).permutation(len(IN4P))
    turned = (IN4P.positions @ Rotation.random(random_state=1).as_matrix())[order] + 3.0
    other = Cluster(tuple(IN4P.symbols[i] for i in order), turned)
    np.testing.assert_allclose(pdf(other).g, pdf(IN4P).g, atol=2e-3)


def test_partial_functions_add_up():
    settings = Settings()
    elements = sorted(IN4P.composition)
    parts = [
        structure_function(IN4P, settings, (a, b)) - 1
        for n, a in enumerate(elements)
        for b in elements[n:]
        if a != b or IN4P.composition[a] > 1
    ]
    np.testing.assert_allclose(sum(parts), structure_function(IN4P, settings) - 1, atol=1e-10)


def test_cadmium_selenide_clusters_look_as_published():
    """Neighbours at 2.6 Å; zincblende: sharp peaks to 13 Å; pseudo-wurtzite: a broad band near 4 Å."""
    widths = {}
    for name in ("Cd35Se20", "Cd21Se20"):
        found = mscflow.pdf(build(name, ["chloride", "ammonia"]), rmax=25.0, qdamp=0.0)
        peaks, _ = find_peaks(found.g, prominence=0.2 * found.g.max())
        widths[name] = peak_widths(found.g, peaks)[0] * (found.r[1] - found.r[0])
        assert found.r[peaks[0]] == pytest.approx(2.6, abs=0.1)
        assert found.r[peaks[1]] == pytest.approx(4.3, abs=0.2)
        if name == "Cd35Se20":
            last = found.r[np.abs(found.g) > 0.05 * found.g.max()].max()
            assert last == pytest.approx(13, abs=1)
    assert max(widths["Cd35Se20"]) < 0.3
    assert widths["Cd21Se20"][1] > 1.5 * widths["Cd35Se20"][1]


def test_hardly_broadened_is_not_broadened():
    sharp, broadened = pdf(IN4P), pdf(IN4P, qbroad=1e-7)
    np.testing.assert_allclose(broadened.g, sharp.g, atol=1e-8 * sharp.g.max())


def test_diffraction_of_a_large_cluster_has_the_first_maximum_of_indium_phosphide():
    angles, pattern = diffraction(build("In37P20", ligand="chloride"))
    window = (angles > 20) & (angles < 32)
    assert angles[window][pattern[window].argmax()] == pytest.approx(27, abs=3)  # (111) of InP: 26.3°


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rmax": -1.0}, "0 ≤ rmin < rmax"),
        ({"qmin": 30.0}, "0 ≤ qmin < qmax"),
        ({"u_iso": -0.1}, "must not be negative"),
        ({"radiation": "electron"}, "'x-ray' or 'neutron'"),
        ({"partial": ("Au", "Au")}, "no pair"),
    ],
)
def test_nonsense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        pdf(IN4P, **arguments)
