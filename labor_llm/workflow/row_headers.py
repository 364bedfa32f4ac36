"""Extension of Sphinx: the first cell of each row of an exhibit is a header, for those who have tables read to them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect to Sphinx, as `book/_config.yml` asks for it."""
    app.connect("doctree-read", mark_row_headers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mark_row_headers(app: Sphinx, page: nodes.document) -> None:
    """Mark the first column of every exhibit's table as one of headers, which pipe tables cannot say."""
    for table in page.findall(nodes.table):
        if "exhibit-table" in table["classes"]:
            next(table.findall(nodes.colspec))["stub"] = 1
