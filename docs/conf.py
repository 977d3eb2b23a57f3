"How Sphinx builds the site: see build.py, which calls it."
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from PIL import Image
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parent))
from build import CFG, NBS, TEXTS, pages, read

logger = logging.getLogger(__name__)
project, author, copyright = CFG.title, CFG.author, CFG.copyright
extensions = ["myst_nb", "sphinx_copybutton", "sphinx_design"]
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


def last_run(notebook):
    "What a notebook's stored outputs were made with; nothing, if it does not say."
    o = read(notebook).metadata.get("last_run")
    return f"Last run {o.date} with torch {o.torch}, fastai {o.fastai}. Device: {o.device}." + (f" Data: {o.data}." if o.data else "") if o else ""


def with_stills(app, body):
    "For those who ask for less motion, films show their last picture."
    def still(found):
        path = next((path for path, name in app.builder.images.items() if name == found[1]), None)
        if not path: return found[0]
        with Image.open(Path(app.srcdir)/path) as film:
            if getattr(film, "n_frames", 1) == 1: return found[0]
            film.seek(film.n_frames-1)
            (Path(app.outdir)/"_images").mkdir(exist_ok=True)
            film.convert("RGB").save(Path(app.outdir)/"_images"/f"still-{found[1]}")
        return f'<picture><source media="(prefers-reduced-motion: reduce)" srcset="_images/still-{found[1]}">{found[0]}</picture>'
    return re.sub(r'<img [^>]*src="_images/([^"]+\.png)"[^>]*>', still, body)


def page_context(app, page, template, context, doctree):
    "What the templates need to know of a page."
    if "body" in context: context["body"] = with_stills(app, context["body"])
    if notebook := pages().get(page):
        path = f"{CFG.nbs_path.name}/{notebook}"
        context.update(notebook=notebook, last_run=last_run(notebook),
                       colab=f"https://colab.research.google.com/github/{CFG.user}/{CFG.repo}/blob/{CFG.branch}/{path}")
    else: path = next((o for o, name in TEXTS.items() if name == page), None)
    if path: context["edit_url"] = f"{CFG.git_url}/edit/{CFG.branch}/{path}"


def copy_notebooks(app, error):
    "The notebooks themselves, to download."
    if error or app.builder.name != "html": return
    folder = Path(app.outdir)/"notebooks"
    folder.mkdir(exist_ok=True)
    for o in pages().values(): (folder/o).write_bytes((NBS/o).read_bytes())


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
    app.connect("build-finished", copy_notebooks)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
