"How Sphinx builds the site: what it reads, the order of the pages, the API reference. Settings are in sphinx.yml."
import gc
import re
from pathlib import Path
from string import Template

import nbformat
import yaml
from babel.numbers import get_decimal_symbol
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from fastcore.docments import docments
from nbformat.v4 import new_markdown_cell
from sphinx import addnodes

from course_dl.core import say
from docs import lesson
from docs.lesson import BLOB, COLAB, ENGLISH, LANGUAGE, ROOT, SETTINGS, SYMBOLS

gc.set_threshold(100_000, 50, 100)  # pages stay to the end: to look through them again and again is a sixth of it


def text_of(path): return (ROOT/path).read_text(encoding="utf-8")


project = SETTINGS["lib_name"]
globals().update(yaml.safe_load(Template(text_of("docs/sphinx.yml")).substitute(SETTINGS)))
language = LANGUAGE
html_title = say(html_title)  # noqa: F821
html_theme_options["logo"]["text"] = html_title  # noqa: F821
html_theme_options["search_bar_text"] = say("Search the course")  # noqa: F821
SIDEBAR = yaml.safe_load(text_of("_quarto.yml"))["website"]["sidebar"]["contents"]
SECTIONS = {o["section"]: [f"nbs/{path}" for path in o["contents"]] for o in SIDEBAR if isinstance(o, dict)}
SECTIONS["Project"] = ["docs/api.md", "benchmarks/README.md", "docs/accessibility.md", "CONTRIBUTING.md",
                       "CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md"]
PATHS = ["nbs/index.ipynb", "docs/404.md", *sum(SECTIONS.values(), [])]
include_patterns = [*PATHS, "nbs/checks/*.ipynb"]
# What `make book` and `make slides` have made goes with the site, which links to it.
BOOKS = sorted((ROOT/"_book").glob("*.*"), key=lambda path: path.suffix)
SLIDES = sorted((ROOT/"_slides").glob("slides/*.html"))
html_extra_path = [*[f"../_book/{path.name}" for path in BOOKS], *["../_slides"]*bool(SLIDES)]
html_context.update(  # noqa: F821
    books=[(path.suffix[1:].upper(), path.name) for path in BOOKS], slides=[path.stem for path in SLIDES])


def name_pages(app): app.project = app.env.project = lesson.Pages(app.srcdir, app.config.source_suffix)


def prepare(app, page, source):
    "What Sphinx gets to read of a file; the first page gets the sidebar, the API page its modules."
    path = app.env.doc2path(page, base=False).as_posix()
    unlisted = dict(orphan=True, nosearch=True) if page == "404" or page.startswith("checks/") else {}
    app.env.metadata[page].update(path=path, **unlisted)
    pages = {say(name): [o for o in map(app.project.path2doc, paths) if o in app.project.docnames]
             for name, paths in SECTIONS.items()}
    if page == "api":
        modules = [o for name in pages.values() for o in name if (ROOT/project/f"{o}.py").exists()]
        source[0] += "".join(f"\n## {project}.{o}\n\nFrom {{doc}}`{o}`.\n\n"
                             f"```{{eval-rst}}\n.. automodule:: {project}.{o}\n```\n" for o in modules)
    if path.endswith(".ipynb"):
        nb = lesson.page(source[0], path)
        for name, names in ({"": [say("Home") + " <self>"], **pages} if page == "index" else {}).items():
            lines = ["```{toctree}", ":hidden:", *[f":caption: {name}"]*bool(name), "", *names, "```"]
            nb.cells.append(new_markdown_cell("\n".join(lines)))
        text, source[0] = nb.cells[0].source, nbformat.writes(nb)
    else: text = source[0]
    if promise := re.search(r"^> (.+)$", text, re.M):
        app.env.metadata[page]["description"] = say(promise[1]).replace("`", "")


def finish(app, doctree):
    "Names in the text of a notebook lead to the API, files without a page to GitHub; the badge is not on another host."
    page = app.env.docname
    for file in [*doctree.findall(addnodes.download_reference)]:
        path = Path(app.env.relfn2path(file["reftarget"], page)[1]).relative_to(ROOT).as_posix()
        file.replace_self(nodes.reference("", "", *file.children, refuri=f"{BLOB}/{path}"))
    for code in [*doctree.findall(nodes.literal)] if app.env.metadata[page]["path"].endswith(".ipynb") else []:
        name = SYMBOLS.get(code.astext().removesuffix("()"))
        if name and isinstance(code.parent, nodes.paragraph):
            api = f"{ENGLISH}{'../'*page.count('/')}api.html#{name}"
            code.replace_self(nodes.reference("", "", code.deepcopy(), refuri=api, reftitle=name))
    for image in doctree.findall(nodes.image):
        if image["uri"] == COLAB: image["uri"] = "/nbs/images/colab.svg"


def rst(text): return re.sub(r"(`[^`]*`)|([*|]|_\b)", lambda m: m[1] or "\\"+m[2], text)


def describe(app, what, path, symbol, options, lines):
    "A docstring, then what the parameters mean, then where the symbol is built."
    lines[:] = [] if what == "module" else map(rst, lines)
    documented = docments(symbol, full=True) if what in ("function", "class", "method") else {}
    said = {name: o.docment for name, o in documented.items() if isinstance(o.docment, str)}
    lines += ["", *(f":{'returns' if name == 'return' else f'param {name}'}: {rst(o)}" for name, o in said.items())]
    _, module, *names = path.split(".")
    if len(names) == 1 and what != "data": lines += ["", f"`In its lesson <{module}.html#{names[0]}>`__", ""]


def mathml(text, block):
    "A formula as MathML, which browsers draw by themselves."
    text = re.sub(r"\\([td]?frac)\s*(\w)\s*(\w)", r"\\\1{\2}{\3}", text)  # \frac12, unknown to docutils
    try: return tex2mathml(text, as_block=block)
    except MathError as e: raise ValueError(f"formula {text!r}: {e}") from None


def math(translator, node):
    "Write a formula of a page as MathML."
    text = re.sub(r"(?<=\d)\.(?=\d)", get_decimal_symbol(LANGUAGE), node.astext())
    try: translator.body.append(mathml(text, isinstance(node, nodes.math_block)))
    except ValueError as e: raise ValueError(f"line {node.line}: {e}") from None
    raise nodes.SkipNode


def list_translations(app, page, template, context, doctree):
    "For search engines."
    for code, its in context["languages"].items() if language == "en" else ():
        if page in its["pages"]: app.sitemap_links.put((f"{code}/{page}.html", None))


def setup(app):
    if language != "en": app.setup_extension("docs.translation")
    app.add_html_math_renderer("mathml", (math, None), (math, None))
    app.connect("builder-inited", name_pages)
    app.connect("source-read", prepare)
    app.connect("doctree-read", finish, priority=400)  # before pictures are collected
    app.connect("html-page-context", list_translations)
    app.connect("autodoc-process-docstring", describe)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
