"How Sphinx builds the site: see build.py, which calls it."
import ast
import inspect
import os
import re
import sys
from operator import attrgetter
from pathlib import Path

sys.modules.setdefault("rfc3987_syntax", None)  # nbformat would have jsonschema build a grammar of web addresses, for seconds, and never use it
sys.path[:0] = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))]
from build import BLOB, CFG, FILES, NOTEBOOKS, title
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from execnb.nbio import read_nb
from fastcore.docments import docments
from PIL import Image
from sphinx.util import logging

logger = logging.getLogger(__name__)
project, author, copyright = CFG.title, CFG.author, CFG.copyright
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.linkcode", "sphinx_copybutton", "sphinx_design"]
root_doc = "index"
nb_execution_mode = "off"
nb_merge_streams = True
highlight_language = "none"  # code without a word on its language stays plain
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"
html_theme = "pydata_sphinx_theme"
html_title = CFG.title
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
default_role = "py:obj"
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
html_extra_path = [str(CFG.nbs_path/o) for o in NOTEBOOKS.values()]
html_domain_indices = False
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_math_renderer = "mathml"
templates_path = ["_templates"]
html_sidebars = {"**": ["contents.html"]}
html_context = {"default_mode": "auto"}
html_theme_options = dict(
    search_as_you_type=True, logo={"text": CFG.title}, navbar_center=[], navbar_end=["theme-switcher", "navbar-icon-links"],
    icon_links=[dict(name="GitHub", url=CFG.git_url, icon="fa-brands fa-github")], secondary_sidebar_items=["page-toc", "page-tools"],
    article_header_start=[], article_footer_items=["last-run"], footer_start=["copyright"], footer_end=[], show_toc_level=2,
    back_to_top_button=False, search_bar_text="Search the course")

NBS = {page: read_nb(CFG.nbs_path/o) for page, o in NOTEBOOKS.items()}


def uses(nb):
    "Modules that a notebook imports from, and the names that it loads."
    code = [c.source for c in nb.cells if c.cell_type == "code" and not re.search(r"^\s*[%!]", c.source, re.M)]
    found = [o for source in code for o in ast.walk(ast.parse(source))]
    return {o.module for o in found if isinstance(o, ast.ImportFrom)}, {o.id for o in found if isinstance(o, ast.Name)}


USES = {page: uses(nb) for page, nb in NBS.items() if not page.endswith("_checks")}


def linkcode_resolve(domain, info):
    "Where a symbol stands on GitHub; nothing, for a value."
    try: line = inspect.getsourcelines(inspect.unwrap(attrgetter(info["fullname"])(sys.modules[info["module"]])))[1]
    except (AttributeError, TypeError): return None
    return f"{BLOB}/{info['module'].replace('.', '/')}.py#L{line}"


def skip_fields(app, what, name, symbol, skip, options):
    "The fields of a class stand in the table of its parameters."
    return True if what == "class" and not (inspect.isroutine(symbol) or isinstance(symbol, property)) else None


def describe(app, what, path, symbol, options, lines):
    "A docstring, then what the parameters mean, then where the symbol is built and used."
    def rst(text): return re.sub(r"(`[^`]*`)|([*|]|_\b)", lambda m: m[1] or "\\"+m[2], text)
    lines[:] = [] if what == "module" else [rst(o) for o in lines]
    if what in ("function", "class", "method"):
        rows = [(f"``{o}``" if o != "return" else "**returns**", rst(d.docment.replace("\n", " "))) for o, d in docments(symbol, full=True).items() if isinstance(d.docment, str)]
        lines += ["", ".. list-table::", "   :header-rows: 1", ""]*bool(rows)
        for row in [("parameter", "meaning")]*bool(rows) + rows: lines += [f"   * - {row[0]}", f"     - {row[1]}"]
    lib, module, *names = path.split(".")
    if len(names) == 1:
        built = [] if what == "data" else [f"`in its lesson <{module}.html#{names[0]}>`__"]
        used = ", ".join(f":doc:`{title(NBS[o])} <{o}>`" for o, (modules, loaded) in USES.items() if f"{lib}.{module}" in modules and names[0] in loaded)
        lines += ["", " · ".join(built + [f"used in {used}"]*bool(used)), ""]


def with_anchors(body):
    "The first definition of a name in the code of a page can be linked to."
    ids = set(re.findall(r' id="([^"]+)"', body))
    def anchor(found):
        if found[2] in ids: return found[0]
        ids.add(found[2])
        return f'{found[1]} id="{found[2]}">{found[2]}<'
    return re.sub(r'((?:^|<pre>)(?:<span></span>)?<span class="k">(?:def|class)</span><span class="w"> </span><span class="n[fc]")>(\w+)<', anchor, body, flags=re.M)


def with_stills(app, body):
    "For those who ask for less motion, films show their last picture."
    def still(found):
        film = Image.open(Path(app.srcdir)/next(path for path, name in app.builder.images.items() if name == found[1]))
        if getattr(film, "n_frames", 1) == 1: return found[0]
        film.seek(film.n_frames-1)
        (app.outdir/"_images").mkdir(exist_ok=True)
        film.convert("RGB").save(app.outdir/"_images"/f"still-{found[1]}")
        return f'<picture><source media="(prefers-reduced-motion: reduce)" srcset="_images/still-{found[1]}">{found[0]}</picture>'
    return re.sub(r'<img [^>]*src="_images/([^"]+\.png)"[^>]*>', still, body)


def page_context(app, page, template, context, doctree):
    "What the templates need to know of a page."
    if "body" in context: context["body"] = with_anchors(with_stills(app, context["body"]))
    if page in FILES: context["edit_url"] = f"{CFG.git_url}/edit/{CFG.branch}/{FILES[page]}"
    if page in NOTEBOOKS: context.update(notebook=NOTEBOOKS[page], last_run=NBS[page].metadata.get("last_run"),
                                         colab=f"https://colab.research.google.com/github/{CFG.user}/{CFG.repo}/blob/{CFG.branch}/{FILES[page]}")


def math(block):
    "A visitor that writes a formula as MathML, which browsers draw by themselves."
    def visit(self, node):
        text = re.sub(r"\\([td]?frac)\s*(\w)\s*(\w)", r"\\\1{\2}{\3}", node.astext())  # docutils reads \frac12 as 12 over nothing
        try: self.body.append(tex2mathml(text, as_block=block))
        except MathError as e: logger.warning("formula %r: %s", node.astext(), e, location=node)
        raise nodes.SkipNode
    return visit


def setup(app):
    app.add_html_math_renderer("mathml", (math(False), None), (math(True), None))
    app.connect("html-page-context", page_context)
    app.connect("autodoc-skip-member", skip_fields)
    app.connect("autodoc-process-docstring", describe)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
