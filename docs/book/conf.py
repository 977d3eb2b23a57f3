"How Sphinx builds the book; what it reads and writes is in pages.py."
from docs.book.pages import BOOK, HERE, SETTINGS

project = "Deep learning, line by line"
author, copyright, version, language = SETTINGS["author"], SETTINGS["copyright"], SETTINGS["version"], "en"
root_doc, extensions = "preface", ["myst_nb", "docs.book.pages"]
include_patterns = [*BOOK, f"{HERE}/preface.md", f"{HERE}/solutions.md"]
nb_execution_mode, nb_merge_streams, highlight_language = "off", True, "text"
myst_enable_extensions, myst_heading_anchors = ["dollarmath"], 4
default_role = "code"
html_math_renderer = "mathml"
pygments_style = "a11y-high-contrast-light"
html_static_path = ["book.css", "../_static/math.woff2", "../../nbs/images/social.png"]

epub_basename = "deep-learning-line-by-line"
epub_title, epub_author = project, author
epub_publisher = epub_contributor = author
epub_description = SETTINGS["description"]
epub_identifier = epub_uid = "course_dl-book"
epub_cover = ("_static/social.png", "epub-cover.html")
epub_show_urls, epub_use_index, epub_tocdepth, epub_tocscope = "no", False, 2, "includehidden"
epub_css_files = ["book.css"]
epub_exclude_files = ["objects.inv", "search.html"]
