"""Pages in another language, beside the English site: words from the catalog, links to the rest.

conf.py calls it only where `COURSE_DL_LANGUAGE` names one."""
import copy
import gettext
import json
import posixpath
import re
from functools import partial

import nbformat
from babel.numbers import get_decimal_symbol
from docutils import nodes
from docutils.nodes import make_id

from course_dl.core import catalog
from docs import lesson
from docs.conf import PATHS, SECTIONS, text_of

TITLE = re.compile(r"^#+ ([^\n]+)$|^```.*?^```$", re.M | re.S)
FORMULA = re.compile(r"\$+[^$\n]+\$+")
ALT = re.compile(r"^(#\| fig-alt: )(.+)$", re.M)


class English(gettext.NullTranslations):
    "Says what has no translation as it is, and in which language that is."
    def gettext(self, text): return f'<span lang="en">{text}</span>'


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


def lead(app, path, anchor):
    "A link leads to a page of this language, or one folder up, to the English one."
    if path not in PATHS: return ""
    name, place = app.project.path2doc(path), f"#{make_id(anchor)}" if anchor else ""
    return f"{'' if name in app.project.docnames else '../'}{name}.html{place}"


def read(app, page, source):
    "A notebook in other words. Its code is as it was, but for what is said of its pictures."
    path = app.env.doc2path(page, base=False).as_posix()
    marked = copy.copy(known := catalog(app.config.language))
    marked.add_fallback(English())
    nb = nbformat.reads(source[0], as_version=4)
    app.env.metadata[page]["titles"] = titles = []
    def decimals(formula): return re.sub(r"(?<=\d)\.(?=\d)", get_decimal_symbol(app.config.language), formula[0])
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.source = ALT.sub(lambda found: found[1] + known.gettext(found[2]), cell.source)
            continue
        titles += filter(None, TITLE.findall(cell.source))
        text = lesson.translate(cell.source, marked.gettext)
        text = re.sub(r'^(#+ )<span lang="en">(.*)</span>$', r"\1\2", text, flags=re.M)  # one in the contents, too
        cell.source = lesson.relink(FORMULA.sub(decimals, text), posixpath.dirname(path), partial(lead, app))
    source[0] = nbformat.writes(nb)


def keep_anchors(app, doctree):
    "A heading has the address of the English one; code, and what it printed, is in English. Texts of pictures are not."
    titles = app.env.metadata[app.env.docname]["titles"]
    for section, title in zip(doctree.findall(nodes.section), titles, strict=True): section["ids"][0] = make_id(title)
    for part in doctree.findall(nodes.container):
        told = any(part.findall(nodes.image)) or 'class="film"' in part.astext()
        if {"cell_input", "cell_output"} & set(part["classes"]) and not told: part["classes"].append("language-en")


def to_english(app, env, node, content):
    "The API, and the answers of the checks."
    target = node["reftarget"]
    page = f"api.html#{target}" if node["reftype"] == "obj" else f"{target.strip('/')}.html"
    return nodes.reference("", "", content, refuri=f"../{page}", internal=False)


def setup(app):
    app.connect("config-inited", adapt)
    app.connect("builder-inited", start)
    app.connect("source-read", read, priority=400)  # before anything is added to it
    app.connect("doctree-read", keep_anchors, priority=400)  # before the contents are listed
    app.connect("missing-reference", to_english)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
