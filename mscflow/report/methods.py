"""The methods paragraph of a report and the BibTeX of what was used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from mscflow.report.results import CampaignResults

MEASURED = {
    "mace:msc-small": (0.8, "one of them with the wrong sign"),
    "gfn2-xtb+pairs": (0.8, "one of them with the wrong sign"),
    "gfn1-xtb": (2.4, "one of them with the wrong sign; species lost bonds or ligands"),
    "gfn2-xtb": (3.7, "all of them with the wrong sign; species lost bonds or ligands"),
}
"""Largest error / eV of three exchanges of In4P(O2CH)9 against PBE-D3(BJ)/def2-SVP, and their signs:
``benchmarks/exchange_levels.py``."""


@cache
def references() -> dict[str, str]:
    """Return the BibTeX entries of ``templates/references.bib`` by key."""
    text = (files("mscflow.report") / "templates" / "references.bib").read_text(encoding="utf-8")
    entries = (entry.strip() for entry in text.split("\n\n"))
    return {entry.partition("{")[2].partition(",")[0]: entry for entry in entries if entry}


def _texts(results: CampaignResults) -> list[str]:
    documents = (results.relaxation, results.vibrations, results.refinement, results.excitations)
    texts = [document.level_text for document in documents if document is not None]
    energies = [e for e in (results.exchange, results.reactions) if e is not None]
    levels = [level for e in energies for level in (e.geometry_level, e.energy_level)]
    return texts + [text for level in levels for text in level.split(", ")]


def exchange_errors(levels: Sequence[str]) -> str:
    """Return what is known of the errors of exchange energies at some levels, in sentences."""
    alike: dict[tuple[float, str] | None, list[str]] = {}
    for level in levels:
        alike.setdefault(MEASURED.get(level), []).append(level)
    return " ".join(
        f"The error of exchange energies at {' and '.join(texts)} was not measured."
        if known is None
        else f"Three exchanges of In4P(O2CH)9 at {' and '.join(texts)} were off by up to {known[0]} eV "
        f"against PBE-D3(BJ)/def2-SVP, {known[1]}."
        for known, texts in alike.items()
    )


def bibtex(results: CampaignResults) -> str:
    """Return BibTeX entries of the methods and programs the results rest on."""
    networks = [text for text in _texts(results) if text.startswith("mace:")]
    text = " ".join(text for text in _texts(results) if text not in networks)
    parts = (results.relaxation, results.exchange, results.reactions)
    described = " ".join(part.level_description for part in parts if part is not None)
    wanted = {
        "mace": bool(networks),
        "gfn2": "gfn2" in (text + described).lower(),
        "gfn1": "gfn1" in (text + described).lower(),
        "pyscf": "/" in text,
        "pbe": "pbe-" in text or "pbe/" in text,
        "pbe0": "pbe0" in text,
        "b3lyp": "b3lyp" in text.replace("camb3lyp", ""),
        "hse06": "hse06" in text,
        "camb3lyp": "camb3lyp" in text,
        "d3": "d3bj" in text,
        "d4": "-d4/" in text,
        "cpcm": "solvent=" in text and "solvation=smd" not in text,
        "smd": "solvation=smd" in text,
        "rrho": any(e is not None and e.temperature for e in (results.exchange, results.reactions)),
        "def2": "def2" in text,
        "gth": "gth" in text,
        "molopt": "molopt" in text,
        "tda": results.excitations is not None and "TDA" in results.excitations.method,
        "ris": results.excitations is not None and "ris" in results.excitations.method,
    }
    keys = ["mscflow", "jobflow", "ase", *(key for key, used in wanted.items() if used)]
    return "\n\n".join(references()[key] for key in keys)


def methods_paragraph(results: CampaignResults) -> str:
    """Return what was done, in sentences ready for a paper."""
    sentences = []
    if results.structure is not None:
        cluster = results.structure.cluster
        origin = (
            "a model built from code, not a crystal structure"
            if cluster.provenance.get("source") == "derived"
            else "read from a file"
        )
        sentences.append(
            f"The starting structure of {cluster.name or cluster.formula} ({cluster.formula}, charge "
            f"{cluster.charge:+d}, multiplicity {cluster.multiplicity}) was {origin}."
        )
    if results.relaxation is not None:
        r = results.relaxation
        atom = "a free atom" if r.fixed else "an atom"
        end = (
            f"until the largest force on {atom} was below {r.fmax} eV/Å"
            if r.converged
            else f"without convergence: the largest force on {atom} is {r.max_force:.3f} eV/Å, not {r.fmax}"
        )
        held = f", with {len(r.fixed)} atoms held where they were" if r.fixed else ""
        sentences.append(
            f"It was relaxed with {r.level_description} by {r.optimizer}{held} {end} "
            f"({r.n_force_calls} force evaluations)."
        )
    if results.vibrations is not None:
        v = results.vibrations
        sentences.append(
            f"Harmonic vibrations at {v.level_text}: {v.method}, standard atomic masses, translations and "
            "rotations projected out."
        )
    if results.refinement is not None:
        f = results.refinement
        what = f"{f.n_steps} geometry steps" if f.n_steps else "a single point"
        if not f.converged and f.max_force is not None:
            what += f" without convergence (the largest force on an atom is {f.max_force:.3f} eV/Å)"
        sentences.append(f"{f.level_text} energies are {what} with {f.level_description}.")
    for what, e in (("Exchange", results.exchange), ("Reaction", results.reactions)):
        if e is None:
            continue
        solvent = "" if "solvent=" in e.energy_level else "solvent and "
        sentences.append(
            f"{what} energies are differences of electronic energies at {e.energy_level} of balanced "
            f"reactions with molecular references, every species relaxed at {e.geometry_level}; "
            f"{'' if e.temperature else 'vibrations, '}{solvent}coordination isomers of the references are "
            "not included."
        )
        if e.temperature:
            sentences.append(
                f"Gibbs energies at {e.temperature:g} K add harmonic vibrations at {e.geometry_level} with "
                "soft modes as rotors, and the ideal gas at one atmosphere."
            )
    if results.excitations is not None:
        x = results.excitations
        end = "" if x.converged else ", not all of them converged"
        sentences.append(
            f"Vertical singlet excitations: {x.method}, {x.level_text}{end}. The spectrum is a sum of "
            f"Gaussians in energy with a full width at half maximum of {results.fwhm} eV."
        )
    documents = (results.relaxation, results.structure, results.exchange, results.reactions)
    versions = next((document.versions for document in documents if document is not None), {})
    packages = f" ({', '.join(f'{p} {v}' for p, v in versions.items())})" if versions else ""
    sentences.append(f"The calculations were organised with mscflow and jobflow{packages}.")
    return " ".join(sentences)
