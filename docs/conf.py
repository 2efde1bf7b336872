"""The documentation, built by Sphinx: settings, and what happens before and after a build."""

import sys
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import docstrings  # noqa: E402
import links  # noqa: E402
import pages  # noqa: E402

from unlabel import __version__  # noqa: E402
from unlabel.catalogue.html import listing_style  # noqa: E402

project = "unlabel"
author = "The unlabel authors"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
highlight_language = "text"
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80

html_theme = "pydata_sphinx_theme"
html_title = "unlabel"
html_static_path = ["_static"]
html_css_files = ["site.css", "listing.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_sidebars = {"index": []}
html_theme_options = {
    "logo": {"text": "unlabel"},
    "navbar_align": "left",
    "header_links_before_dropdown": 9,
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def setup(app: Sphinx) -> None:
    """Generate before reading, check afterwards."""
    app.connect("builder-inited", lambda app: pages.write_all(Path(app.srcdir)))
    app.connect("autodoc-process-docstring", docstrings.process)
    app.connect("build-finished", _finish)


def _finish(app: Sphinx, problem: Exception | None) -> None:
    """The style of listings beside that of the site; then no link may lead nowhere."""
    if problem is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    (out / "_static" / "listing.css").write_text(listing_style(), encoding="utf-8")
    if dead := links.dead(out):
        raise SphinxError("links that lead nowhere:\n" + "\n".join(dead))
