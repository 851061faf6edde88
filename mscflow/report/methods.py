"""The methods paragraph of a report and the BibTeX of what was used."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from mscflow.report.results import CampaignResults


@cache
def references() -> dict[str, str]:
    """Return the BibTeX entries of ``templates/references.bib`` by key."""
    text = (files("mscflow.report") / "templates" / "references.bib").read_text(encoding="utf-8")
    entries = (entry.strip() for entry in text.split("\n\n"))
    return {entry.partition("{")[2].partition(",")[0]: entry for entry in entries if entry}


def _texts(results: CampaignResults) -> list[str]:
    documents = (results.relaxation, results.vibrations, results.refinement, results.excitations)
    texts = [document.level_text for document in documents if document is not None]
    energies = (e.energy_level for e in (results.exchange, results.reactions) if e is not None)
    return texts + [text for levels in energies for text in levels.split(", ")]


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
        end = (
            f"until the largest force on an atom was below {r.fmax} eV/Å"
            if r.converged
            else f"without convergence: the largest force on an atom is {r.max_force:.3f} eV/Å, not {r.fmax}"
        )
        sentences.append(
            f"It was relaxed with {r.level_description} by {r.optimizer} {end} "
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
        sentences.append(
            f"Vertical singlet excitations: {x.method}, {x.level_text}. The spectrum is a sum of Gaussians "
            f"in energy with a full width at half maximum of {results.fwhm} eV."
        )
    documents = (results.relaxation, results.structure, results.exchange, results.reactions)
    versions = next((document.versions for document in documents if document is not None), {})
    packages = f" ({', '.join(f'{p} {v}' for p, v in versions.items())})" if versions else ""
    sentences.append(f"The calculations were organised with mscflow and jobflow{packages}.")
    return " ".join(sentences)
