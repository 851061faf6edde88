"""How Sphinx builds these pages: ``make docs``, then open ``docs/_build/html/index.html``."""

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import gallery  # noqa: E402

import mscflow  # noqa: E402

project = "mscflow"
author = "The mscflow developers"
release = mscflow.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "mscflow"
html_static_path: list[str] = []
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "exclude-members": "model_config, model_post_init"}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

NAMES = "```{names}\n```\n"
INCLUDE = re.compile(r"```{include} \.\./(\S+)\n```\n")


def take_in(_app: Any, _page: str, source: list[str]) -> None:
    """Put files from beside this folder in place of their directives, and let links lead to their pages."""
    text = INCLUDE.sub(lambda found: (HERE.parent / found[1]).read_text(), source[0])
    for page in HERE.glob("*.md"):
        for file in INCLUDE.findall(page.read_text()):
            text = text.replace(f"(../{file})", f"({page.name})")
    source[0] = text.replace(NAMES, names()) if NAMES in text else text


def names() -> str:
    """Return a table of what ``import mscflow`` offers: name, link and first sentence of each."""
    rows = ["| name | what it is |", "|---|---|"]
    for name in sorted(mscflow._HOMES, key=str.lower):
        thing = getattr(mscflow, name)
        target = f"{thing.__module__}.{thing.__qualname__}"
        sentence = (thing.__doc__ or "").strip().splitlines()[0]
        rows.append(f"| {{py:obj}}`mscflow.{name} <{target}>` | {sentence} |")
    return "\n".join(rows) + "\n"


def setup(app: Any) -> None:
    """Draw the gallery before pages are read."""
    gallery.write(HERE)
    app.connect("source-read", take_in)
