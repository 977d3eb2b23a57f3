"How Sphinx builds the site from the folder above: what it reads, how it looks, and the API reference."
import ast
import inspect
import json
import re
import sys
from base64 import b64decode
from configparser import ConfigParser
from io import BytesIO
from operator import attrgetter
from os.path import relpath
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema would build a grammar of web addresses, for seconds
sys.path[:0] = [str(ROOT/"docs"), str(ROOT)]
import lesson
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from fastcore.docments import docments
from nbformat.v4 import new_markdown_cell
from PIL import Image
from sphinx.util import logging

from course_dl._modidx import d as index_of_symbols

settings = ConfigParser()
settings.read(ROOT/"settings.ini", encoding="utf-8")
settings = settings["DEFAULT"]
sidebar = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))["website"]["sidebar"]["contents"]
sections = {o["section"]: [f"nbs/{path}" for path in o["contents"]] for o in sidebar if isinstance(o, dict)}
sections["Project"] = ["docs/api.md", "benchmarks/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]

project, author, copyright = settings["lib_name"], settings["author"], settings["copyright"]
blob = f"{settings['git_url']}/blob/{settings['branch']}"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.githubpages", "sphinx.ext.linkcode", "sphinx_copybutton", "sphinx_design"]
root_doc = "index"
include_patterns = ["nbs/index.ipynb", "nbs/checks/*.ipynb", *(path for paths in sections.values() for path in paths)]
exclude_patterns = [".*", "**/.*", "_docs", "_proc", "build", "images", "*.json", "*.yml", "*.css"]
nb_custom_formats = {".ipynb": ["lesson.read", {}]}
nb_execution_mode = "off"
nb_merge_streams = True
highlight_language = "none"  # code without a word on its language stays plain
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"
html_theme = "pydata_sphinx_theme"
html_title = settings["title"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_search_scorer = str(ROOT/"docs/_static/scorer.js")
default_role = "py:obj"
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
html_extra_path = [str(ROOT/"nbs")]  # the notebooks, to download
html_domain_indices = False
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_math_renderer = "mathml"
templates_path = ["_templates"]
html_sidebars = {"**": ["contents.html"]}
html_context = {"default_mode": "auto"}
html_theme_options = dict(
    search_as_you_type=True, logo={"text": settings["title"]}, navbar_center=[],
    navbar_end=["theme-switcher", "navbar-icon-links"],
    icon_links=[dict(name="GitHub", url=settings["git_url"], icon="fa-brands fa-github")],
    secondary_sidebar_items=["page-toc", "page-tools"], article_header_start=[], article_footer_items=["last-run"],
    footer_start=["copyright"], footer_end=[], show_toc_level=2, back_to_top_button=False,
    search_bar_text="Search the course")


PAGES = lesson.Pages(ROOT, [".ipynb", ".md"])
NOTEBOOKS = {PAGES.path2doc(path): lesson.read((ROOT/path).read_text(encoding="utf-8"))
             for paths in sections.values() for path in paths if path.endswith(".ipynb")}
MODULES = [page for page in NOTEBOOKS if (ROOT/project/f"{page}.py").exists()]


def heading(page):
    "Title and first line of a notebook."
    title, *_, about = NOTEBOOKS[page].cells[0].source.split("\n")
    return title[2:], about[2:]


def short_title(page): return heading(page)[0].split(": ")[0].replace("`", "")


def card(app, page):
    "A lesson on the first page, with its first picture."
    code = [cell for cell in NOTEBOOKS[page].cells if cell.cell_type == "code"]
    pictures = [(cell, o.data["image/png"]) for cell in code for o in cell.outputs if "image/png" in o.get("data", {})]
    cell, png = pictures[0]
    path = Path(app.doctreedir)/"cards"/f"{page}.png"
    path.parent.mkdir(exist_ok=True)
    Image.open(BytesIO(b64decode(png))).save(path)
    title, about = heading(page)
    return [f":::{{grid-item-card}} {title}", f":link: {page}", ":link-type: doc", f":img-top: {relpath(path, ROOT/'nbs')}",
            f":img-alt: {cell.metadata.mystnb['image']['alt']}", "", about, ":::", ""]


def add_lists(app, page, source):
    "The first page gets the cards of the lessons and the sidebar, the API page its modules."
    if page == "api":
        source[0] += "".join(f"\n## {project}.{o}\n\nFrom {{doc}}`{short_title(o)} <{o}>`.\n\n"
                             f"```{{eval-rst}}\n.. automodule:: {project}.{o}\n```\n" for o in MODULES)
    if page == "index":
        nb = json.loads(source[0])
        def add(at, *lines): nb["cells"].insert(at, new_markdown_cell("\n".join(lines)))
        lessons = next(i for i, o in enumerate(nb["cells"]) if "".join(o["source"]).startswith("## Lessons"))
        cards = [line for o in sections["Lessons"] for line in card(app, PAGES.path2doc(o))]
        add(lessons+1, "::::{grid} 1 2 2 3", ":gutter: 3", "", *cards, "::::")
        home = ["```{toctree}", ":hidden:", "", "Home <self>", "```"]
        add(len(nb["cells"]), *home)
        for name, paths in sections.items():
            add(len(nb["cells"]), "```{toctree}", ":hidden:", f":caption: {name}", "", *map(PAGES.path2doc, paths), "```")
        source[0] = json.dumps(nb)


def uses(nb):
    "Modules that a notebook imports from, and the names that it loads."
    code = [c.source for c in nb.cells if c.cell_type == "code" and not re.search(r"^\s*[%!]", c.source, re.M)]
    found = [o for source in code for o in ast.walk(ast.parse(source))]
    modules = {o.module for o in found if isinstance(o, ast.ImportFrom)}
    return modules, {o.id for o in found if isinstance(o, ast.Name)}


USES = {page: uses(nb) for page, nb in NOTEBOOKS.items()}


def linkcode_resolve(domain, info):
    "Where a symbol stands on GitHub; nothing, for a value."
    symbol = attrgetter(info["fullname"])(sys.modules[info["module"]])
    try: line = inspect.getsourcelines(inspect.unwrap(symbol))[1]
    except TypeError: return None
    return f"{blob}/{info['module'].replace('.', '/')}.py#L{line}"


def skip_fields(app, what, name, symbol, skip, options):
    "The fields of a class stand in the table of its parameters."
    is_field = what == "class" and not (inspect.isroutine(symbol) or isinstance(symbol, property))
    return True if is_field else None


def rst(text): return re.sub(r"(`[^`]*`)|([*|]|_\b)", lambda m: m[1] or "\\"+m[2], text)


def describe(app, what, path, symbol, options, lines):
    "A docstring, then what the parameters mean, then where the symbol is built and used."
    lines[:] = [] if what == "module" else map(rst, lines)
    documented = docments(symbol, full=True) if what in ("function", "class", "method") else {}
    rows = [(name, o.docment.replace("\n", " ")) for name, o in documented.items() if isinstance(o.docment, str)]
    if rows: lines += ["", ".. list-table::", "   :header-rows: 1", "", "   * - parameter", "     - meaning"]
    for name, text in rows:
        lines += [f"   * - {'**returns**' if name == 'return' else f'``{name}``'}", f"     - {rst(text)}"]
    _, module, *names = path.split(".")
    if len(names) != 1: return
    said = [] if what == "data" else [f"`in its lesson <{module}.html#{names[0]}>`__"]
    users = [page for page, (modules, loaded) in USES.items() if f"{project}.{module}" in modules and names[0] in loaded]
    if users: said.append("used in " + ", ".join(f":doc:`{short_title(page)} <{page}>`" for page in users))
    lines += ["", " · ".join(said), ""]


def page_context(app, page, template, context, doctree):
    "What the templates need to know of a page."
    if page not in app.env.found_docs or page == "api": return
    path = app.env.doc2path(page, base=False)
    context["edit_url"] = f"{settings['git_url']}/edit/{settings['branch']}/{path.as_posix()}"
    if path.suffix != ".ipynb": return
    colab = blob.replace("https://github.com", "https://colab.research.google.com/github")
    last_run = json.loads((ROOT/path).read_text(encoding="utf-8"))["metadata"].get("last_run")
    context.update(notebook=path.name, last_run=last_run, colab=f"{colab}/{path.as_posix()}")


def math(block):
    "A visitor that writes a formula as MathML, which browsers draw by themselves."
    def visit(self, node):
        text = re.sub(r"\\([td]?frac)\s*(\w)\s*(\w)", r"\\\1{\2}{\3}", node.astext())  # docutils reads \frac12 as 12 over nothing
        try: self.body.append(tex2mathml(text, as_block=block))
        except MathError as e: logging.getLogger(__name__).warning("formula %r: %s", node.astext(), e, location=node)
        raise nodes.SkipNode
    return visit


def name_pages(app): app.project = app.env.project = lesson.Pages(app.srcdir, app.project.source_suffix)


def keep_answers_apart(app, doctree):
    "Answers stand in no list and are not searched."
    page = app.env.docname
    if page.startswith("checks/"): app.env.metadata[page].update(orphan=True, nosearch=True)


def setup(app):
    app.add_config_value("blob", blob, "env")
    symbols = {}
    for module, names in index_of_symbols["syms"].items():
        for name in names: symbols.setdefault(name.removeprefix(f"{module}."), name)
    app.add_config_value("symbols", symbols, "env")
    app.add_node(lesson.film, html=(lesson.visit_film, None))
    app.add_transform(lesson.Page)
    app.add_html_math_renderer("mathml", (math(False), None), (math(True), None))
    app.connect("builder-inited", name_pages)
    app.connect("source-read", add_lists)
    app.connect("doctree-read", keep_answers_apart)
    app.connect("html-page-context", page_context)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", describe)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
