"""The methods paragraph of a report and the BibTeX of what was used."""

from __future__ import annotations

from mscflow.report.results import CampaignResults

BIBTEX: dict[str, str] = {
    "ase": """@article{ase, author = {Larsen, A. H. and others}, title = {The atomic simulation environment—a
  Python library for working with atoms}, journal = {J. Phys.: Condens. Matter}, volume = {29}, pages = {273002},
  year = {2017}, doi = {10.1088/1361-648X/aa680e}}""",
    "jobflow": """@article{jobflow, author = {Rosen, A. S. and others}, title = {Jobflow: Computational Workflows
  Made Simple}, journal = {J. Open Source Softw.}, volume = {9}, pages = {5995}, year = {2024},
  doi = {10.21105/joss.05995}}""",
    "mace": """@inproceedings{mace, author = {Batatia, I. and Kov{\\'a}cs, D. P. and Simm, G. N. C. and Ortner, C.
  and Cs{\\'a}nyi, G.}, title = {{MACE}: Higher Order Equivariant Message Passing Neural Networks for Fast and
  Accurate Force Fields}, booktitle = {Advances in Neural Information Processing Systems}, volume = {35},
  year = {2022}}""",
    "gfn2": """@article{gfn2, author = {Bannwarth, C. and Ehlert, S. and Grimme, S.}, title = {{GFN2-xTB}}, journal =
  {J. Chem. Theory Comput.}, volume = {15}, pages = {1652--1671}, year = {2019}, doi = {10.1021/acs.jctc.8b01176}}""",
    "gfn1": """@article{gfn1, author = {Grimme, S. and Bannwarth, C. and Shushkov, P.}, title = {{GFN-xTB}}, journal =
  {J. Chem. Theory Comput.}, volume = {13}, pages = {1989--2009}, year = {2017}, doi = {10.1021/acs.jctc.7b00118}}""",
    "pyscf": """@article{pyscf, author = {Sun, Q. and others}, title = {Recent developments in the {PySCF} program
  package}, journal = {J. Chem. Phys.}, volume = {153}, pages = {024109}, year = {2020}, doi = {10.1063/5.0006074}}""",
    "pbe": """@article{pbe, author = {Perdew, J. P. and Burke, K. and Ernzerhof, M.}, title = {Generalized Gradient
  Approximation Made Simple}, journal = {Phys. Rev. Lett.}, volume = {77}, pages = {3865--3868}, year = {1996},
  doi = {10.1103/PhysRevLett.77.3865}}""",
    "pbe0": """@article{pbe0, author = {Adamo, C. and Barone, V.}, title = {Toward reliable density functional methods
  without adjustable parameters: The {PBE0} model}, journal = {J. Chem. Phys.}, volume = {110}, pages = {6158--6170},
  year = {1999}, doi = {10.1063/1.478522}}""",
    "b3lyp": """@article{b3lyp, author = {Stephens, P. J. and Devlin, F. J. and Chabalowski, C. F. and Frisch, M. J.},
  title = {Ab Initio Calculation of Vibrational Absorption and Circular Dichroism Spectra Using Density Functional
  Force Fields}, journal = {J. Phys. Chem.}, volume = {98}, pages = {11623--11627}, year = {1994},
  doi = {10.1021/j100096a001}}""",
    "d3": """@article{d3, author = {Grimme, S. and Ehrlich, S. and Goerigk, L.}, title = {Effect of the damping function
  in dispersion corrected density functional theory}, journal = {J. Comput. Chem.}, volume = {32},
  pages = {1456--1465}, year = {2011}, doi = {10.1002/jcc.21759}}""",
    "def2": """@article{def2, author = {Weigend, F. and Ahlrichs, R.}, title = {Balanced basis sets of split valence,
  triple zeta valence and quadruple zeta valence quality for {H} to {Rn}}, journal = {Phys. Chem. Chem. Phys.},
  volume = {7}, pages = {3297--3305}, year = {2005}, doi = {10.1039/b508541a}}""",
    "gth": """@article{gth, author = {Goedecker, S. and Teter, M. and Hutter, J.}, title = {Separable dual-space
  Gaussian pseudopotentials}, journal = {Phys. Rev. B}, volume = {54}, pages = {1703--1710}, year = {1996},
  doi = {10.1103/PhysRevB.54.1703}}""",
    "molopt": """@article{molopt, author = {VandeVondele, J. and Hutter, J.}, title = {Gaussian basis sets for accurate
  calculations on molecular systems in gas and condensed phases}, journal = {J. Chem. Phys.}, volume = {127},
  pages = {114105}, year = {2007}, doi = {10.1063/1.2770708}}""",
    "tda": """@article{tda, author = {Hirata, S. and Head-Gordon, M.}, title = {Time-dependent density functional theory
  within the {Tamm}--{Dancoff} approximation}, journal = {Chem. Phys. Lett.}, volume = {314}, pages = {291--299},
  year = {1999}, doi = {10.1016/S0009-2614(99)01149-5}}""",
    "mscflow": """@software{mscflow, title = {mscflow: DFT and machine-learning workflows on ligand-capped magic-sized
  clusters}, author = {{The mscflow developers}}, year = {2026}}""",
}
"""References by key."""


def _texts(results: CampaignResults) -> list[str]:
    documents = (results.relaxation, results.refinement, results.excitations)
    texts = [document.level_text for document in documents if document is not None]
    return texts + ([results.exchange.energy_level] if results.exchange else [])


def bibtex(results: CampaignResults) -> str:
    """Return BibTeX entries of the methods and programs the results rest on."""
    text = " ".join(_texts(results))
    described = " ".join(d.level_description for d in (results.relaxation, results.exchange) if d is not None)
    wanted = {
        "mace": "mace:" in text,
        "gfn2": "gfn2" in (text + described).lower(),
        "gfn1": "gfn1" in (text + described).lower(),
        "pyscf": "/" in text,
        "pbe": "pbe-" in text or "pbe/" in text,
        "pbe0": "pbe0" in text,
        "b3lyp": "b3lyp" in text,
        "d3": "d3bj" in text,
        "def2": "def2" in text,
        "gth": "gth" in text,
        "molopt": "molopt" in text,
        "tda": results.excitations is not None,
    }
    keys = ["mscflow", "jobflow", "ase", *(key for key, used in wanted.items() if used)]
    return "\n\n".join(BIBTEX[key] for key in keys)


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
        sentences.append(
            f"It was relaxed with {r.level_description} by {r.optimizer} until the largest force on an atom "
            f"was below {r.fmax} eV/Å ({r.n_force_calls} force evaluations)."
        )
    if results.refinement is not None:
        f = results.refinement
        what = f"{f.n_steps} geometry steps" if f.n_steps else "a single point"
        sentences.append(f"{f.level_text} energies are {what} with {f.level_description}.")
    if results.exchange is not None:
        e = results.exchange
        sentences.append(
            f"Exchange energies are differences of electronic energies at {e.energy_level} of balanced "
            f"reactions with molecular references, every species relaxed at {e.geometry_level}; vibrations, "
            "solvent and coordination isomers of the references are not included."
        )
    if results.excitations is not None:
        x = results.excitations
        sentences.append(
            f"Vertical singlet excitations: {x.method}, {x.level_text}. The spectrum is a sum of Gaussians in "
            f"energy with a full width at half maximum of {results.fwhm} eV."
        )
    versions = results.relaxation or results.structure
    packages = ", ".join(f"{p} {v}" for p, v in versions.versions.items()) if versions else ""
    sentences.append(f"The calculations were organised with mscflow and jobflow ({packages}).")
    return " ".join(sentences)
