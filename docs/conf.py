"How Sphinx builds the site: what it reads, the order of the pages, the API reference. Settings are in sphinx.yml."
import inspect
import json
import re
import sys
from operator import attrgetter
from string import Template

import nbformat
import yaml
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from fastcore.docments import docments
from nbformat.v4 import new_markdown_cell
from sphinx.util import logging

from docs import lesson
from docs.lesson import ROOT, SETTINGS


def text_of(path): return (ROOT/path).read_text(encoding="utf-8")


project = SETTINGS["lib_name"]
globals().update(yaml.safe_load(Template(text_of("docs/sphinx.yml")).substitute(SETTINGS)))
SIDEBAR = yaml.safe_load(text_of("_quarto.yml"))["website"]["sidebar"]["contents"]
SECTIONS = {o["section"]: [f"nbs/{path}" for path in o["contents"]] for o in SIDEBAR if isinstance(o, dict)}
SECTIONS["Project"] = ["docs/api.md", "benchmarks/README.md", "CONTRIBUTING.md", "CHANGELOG.md",
                       "CODE_OF_CONDUCT.md", "SECURITY.md"]
PATHS = {lesson.page_of(path): path for paths in [["nbs/index.ipynb"], *SECTIONS.values()] for path in paths}
include_patterns = [*PATHS.values(), "nbs/checks/*.ipynb"]
CELLS = {page: lesson.read(text_of(path)).cells for page, path in PATHS.items() if path.endswith(".ipynb")}
CODE = {page: "\n".join(o.source for o in cells if o.cell_type == "code") for page, cells in CELLS.items()}


def title(page): return re.match(r"# (.+?)(?:: .*)?\n", CELLS[page][0].source)[1].replace("`", "")


def add_lists(app, page, source):
    "The first page gets the sidebar, the API page its modules."
    if page == "api":
        source[0] += "".join(f"\n## {project}.{o}\n\nFrom {{doc}}`{title(o)} <{o}>`.\n\n"
                             f"```{{eval-rst}}\n.. automodule:: {project}.{o}\n```\n"
                             for o in CELLS if (ROOT/project/f"{o}.py").exists())
    if page == "index":
        nb = json.loads(source[0])
        lists = {"": ["Home <self>"], **{name: map(lesson.page_of, paths) for name, paths in SECTIONS.items()}}
        for name, pages in lists.items():
            lines = ["```{toctree}", ":hidden:", *[f":caption: {name}"]*bool(name), "", *pages, "```"]
            nb["cells"].append(new_markdown_cell("\n".join(lines)))
        source[0] = json.dumps(nb)


def linkcode_resolve(domain, info):
    "Where a symbol stands on GitHub; nothing, for a value."
    symbol = attrgetter(info["fullname"])(sys.modules[info["module"]])
    if isinstance(symbol, property): symbol = symbol.fget
    try: line = inspect.getsourcelines(inspect.unwrap(symbol))[1]
    except TypeError: return None
    return f"{lesson.BLOB}/{info['module'].replace('.', '/')}.py#L{line}"


def skip_fields(app, what, name, symbol, skip, options):
    "The fields of a class stand in the table of its parameters."
    if what == "class" and not (inspect.isroutine(symbol) or isinstance(symbol, property)): return True


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
    users = [f":doc:`{title(page)} <{page}>`" for page, code in CODE.items()
             if f"from {project}.{module} import" in code and re.search(rf"(?<!\.)\b{names[0]}\b(?!=)", code)]
    if users: said.append(f"used in {', '.join(users)}")
    lines += ["", " · ".join(said), ""]


def add_path(app, page, template, context, doctree):
    "The templates need to know where a page comes from."
    if page in app.env.found_docs: context["path"] = app.env.doc2path(page, base=False).as_posix()


def offer_notebooks(app, error):
    "The notebooks, to download: without outputs, which their pages show."
    paths = [app.env.doc2path(page) for page in app.env.found_docs] if not error else []
    for path in (path for path in paths if path.suffix == ".ipynb"):
        nb = nbformat.read(path, as_version=4)
        for cell in nb.cells:
            if cell.cell_type == "code": cell.outputs = []
        nbformat.write(nb, app.outdir/path.relative_to(ROOT/"nbs"))


def math(block):
    "A visitor that writes a formula as MathML, which browsers draw by themselves."
    def visit(self, node):
        # docutils reads \frac12 as 12 over nothing
        text = re.sub(r"\\([td]?frac)\s*(\w)\s*(\w)", r"\\\1{\2}{\3}", node.astext())
        try: self.body.append(tex2mathml(text, as_block=block))
        except MathError as e: logging.getLogger(__name__).warning("formula %r: %s", text, e, location=node)
        raise nodes.SkipNode
    return visit


def setup(app):
    app.add_transform(lesson.Page)
    app.add_html_math_renderer("mathml", (math(False), None), (math(True), None))
    app.connect("builder-inited", lesson.name_pages)
    app.connect("source-read", add_lists)
    app.connect("html-page-context", add_path)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("build-finished", offer_notebooks)
    app.connect("autodoc-process-docstring", describe)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
