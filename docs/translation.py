"""Pages in another language, beside the English site: words from the catalog, links to the rest.

conf.py calls it only where `COURSE_DL_LANGUAGE` names one."""
import json
import posixpath
import re

from docutils import nodes

from course_dl.core import catalog
from docs import lesson
from docs.conf import PATHS, SECTIONS, text_of


def adapt(app, config):
    "Which pages there are, what they are called, and what the site has once for all languages."
    page = lesson.Pages(lesson.ROOT, [".ipynb", ".md"]).path2doc
    def title(path): return re.sub("[#`]", "", json.loads(text_of(path))["cells"][0]["source"][0]).strip()
    pages = config.html_context["languages"][config.language]["pages"]
    config.include_patterns = [path for path in PATHS if page(path) in pages]
    others = [path for path in SECTIONS["Lessons"] + SECTIONS["Reference"] if page(path) not in pages]
    config.html_context.update(up="../", others=[(title(path), page(path)) for path in others])
    config.html_baseurl += f"{config.language}/"
    config.html_extra_path, config.sitemap_excludes, config.myst_all_links_external = [], ["*"], True


def start(app): app.translator.add_fallback(catalog(app.config.language))


def lead(app, doctree):
    "A link leads to a page of this language, or one folder up, to the English one; to GitHub where a file has none."
    for link in doctree.findall(nodes.reference):
        path, _, anchor = link.get("refuri", "").partition("#")
        if (file := posixpath.normpath(f"nbs/{path}")) in PATHS:
            name = app.project.path2doc(file)
            up = "" if name in app.project.docnames else "../"
            link["refuri"] = f"{up}{name}.html" + (anchor and f"#{nodes.make_id(anchor)}")
        elif path.startswith("../") and (lesson.ROOT/file).exists(): link["refuri"] = f"{lesson.BLOB}/{file}"


def mark(app, doctree):
    "What is in English: code, what it printed, and what has no translation. Texts of pictures are not."
    for part in doctree.findall(nodes.container):
        told = any(part.findall(nodes.image)) or 'class="film"' in part.astext()
        if {"cell_input", "cell_output"} & set(part["classes"]) and not told: part["classes"].append("language-en")
    for text in doctree.findall(nodes.paragraph):
        if text.get("translated") is False: text["classes"].append("language-en")


def setup(app):
    app.connect("config-inited", adapt)
    app.connect("builder-inited", start)
    app.connect("doctree-read", lead)
    app.connect("doctree-read", mark)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
