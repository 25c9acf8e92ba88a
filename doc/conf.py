"""Sphinx: `make docs`. The folder and the file are where rosdoc2 looks for them, too."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

project = "fastdepth_ros"
author = "fastdepth_ros maintainers"
version = release = re.search(r"<version>(.*)</version>", (ROOT / "package.xml").read_text())[1]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["Thumbs.db"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_mock_imports = ["torch", "tvm", "tvm_ffi", "openvino"]  # engines that the machine may lack
autodoc_typehints = "description"
html_theme = "alabaster"
html_theme_options = {"description": "Metric depth from one camera", "page_width": "1100px", "sidebar_width": "240px"}
html_show_sourcelink = False


def setup(app):
    """Leave out the mark of test/test_console_blocks.py."""
    app.connect(
        "source-read", lambda app, page, text: text.append(re.sub(r"^# not run here.*\n", "", text.pop(), flags=re.M))
    )
