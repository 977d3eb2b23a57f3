"""Build the site into `_docs`: with Quarto where it is installed, with Sphinx where it is not.

Both start from nbdev's processed notebooks and the order and sections of `_quarto.yml`."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from pathlib import Path

import nbdev.serve
import yaml
from execnb.nbio import mk_cell, read_nb, write_nb
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html
from nbdev.processors import FilterDefaults

ROOT = Path(__file__).resolve().parent.parent
os.chdir(ROOT)  # nbdev looks for settings.ini in the working folder
CFG = get_config()
BLOB = f"{CFG.git_url}/blob/{CFG.branch}"


def page_name(notebook): return _nbpath2html(Path(notebook)).stem


SIDEBAR = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))["website"]["sidebar"]["contents"]
SECTIONS = {"": [o for o in SIDEBAR if isinstance(o, str)], **{o["section"]: o["contents"] for o in SIDEBAR if isinstance(o, dict)}}
NOTEBOOKS = {page_name(o): o for names in SECTIONS.values() for o in names}
TEXTS = {"benchmarks": "benchmarks/README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
FILES = {**{page: f"nbs/{o}" for page, o in NOTEBOOKS.items()}, **TEXTS}  # what each page is made from


class CourseFilter(FilterDefaults):
    "nbdev's filter, which here leaves exported code in sight."
    def __call__(self, nb):
        for o in nb.cells: o.source = re.sub(r"^#\|\s*exporti?\s*$", "#| exports", o.source, flags=re.M)
        return super().__call__(nb)


class QuartoFilter(CourseFilter):
    def xtra_procs(self): return [github_links]


class SphinxFilter(CourseFilter):
    "Without the documentation of symbols, which gets a page of its own; so nothing is imported or run."
    def base_procs(self): return [o for o in super().base_procs() if o.__name__ not in ("FrontmatterProc", "add_show_docs", "exec_show_docs", "mv_exports", "add_fold")]
    def xtra_procs(self): return [sphinx_cell]


def github_links(cell):
    "Lead links to the top folder, which has no pages with Quarto, to GitHub."
    if cell.cell_type == "markdown": cell.source = cell.source.replace("](../", f"]({BLOB}/")


def sphinx_cell(cell):
    "Local links, no directives, a text for each picture; and a pandas Styler that sets no style is a plain table."
    if cell.cell_type == "markdown": cell.source = local_text(cell.source, "nbs")
    else:
        if alt := re.search(r"^#\|\s*fig-alt:\s*(.+)$", cell.source, flags=re.M): cell.metadata["mystnb"] = {"image": {"alt": alt[1]}}
        cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.M)
        for o in cell.outputs:
            if html := o.get("data", {}).get("text/html"): o.data["text/html"] = re.sub(r'<style type="text/css">\s*</style>\s*<table ', '<table class="dataframe" ', "".join(html))


def local_text(
    text:str,   # Markdown
    folder:str, # folder that its links start in
)->str:         # Markdown for the site
    "Links between files of the repository as links between pages; what has no page is on GitHub. Badges are local, or go."
    def link(found):
        path, _, anchor = found[1].partition("#")
        path = os.path.normpath(f"{folder}/{path}")
        if re.match(r"\w+:|#", found[1]) or not (ROOT/path).exists(): return found[0]
        if path.startswith("nbs/images/"): return f"]({path[4:]})"
        page = next((page for page, o in FILES.items() if o == path), None)
        return f"]({page}{Path(path).suffix}{anchor and '#'+anchor.lower()})" if page else f"]({BLOB}/{path})"
    text = text.replace("https://colab.research.google.com/assets/colab-badge.svg", "images/colab.svg")
    text = re.sub(r"\[!\[[^\]]*\]\(https?://[^)]+\)\]\([^)]+\) ?", "", text)
    text = re.sub(rf"\[`([\w.]+)`\]\({CFG.doc_host}{CFG.doc_baseurl}/(\w+)\.html#[\w.]+\)", rf"[`\1`](#{CFG.lib_name}.\2.\1)", text)  # nbdev's links to symbols
    parts = re.split(r"(```.*?```)", text, flags=re.S)  # code stays as it is
    return "".join(o if o.startswith("```") else re.sub(r"\]\(([^)\s]+)\)", link, o) for o in parts)


def title(nb): return re.match(r"# (.+?)(?:: .*)?\n", nb.cells[0].source)[1].replace("`", "")


def card(page, nb, folder):
    "A lesson on the first page, with its first picture, which goes to a folder."
    heading, *_, about = nb.cells[0].source.split("\n")
    alt, png = next((c.metadata["mystnb"]["image"]["alt"], o.data["image/png"]) for c in nb.cells if "mystnb" in c.metadata for o in c.outputs if "image/png" in o.get("data", {}))
    (folder/f"{page}.png").write_bytes(b64decode("".join(png)))
    return f":::{{grid-item-card}} {heading[2:]}\n:link: {page}\n:link-type: doc\n:img-top: images/{page}.png\n:img-alt: {alt}\n\n{about[2:]}\n:::\n"


def stage(
    folder:Path, # does not exist yet
)->None:
    "Write what Sphinx reads."
    shutil.copytree(CFG.nbs_path/"images", folder/"images")
    shutil.copy(ROOT/"docs"/"_static"/"colab.svg", folder/"images")
    nbs = {page: read_nb(CFG.nbs_path/o) for page, o in NOTEBOOKS.items()}
    for nb in nbs.values():
        SphinxFilter()(nb)
        nb.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    index = nbs["index"].cells
    cards = "\n".join(card(page_name(o), nbs[page_name(o)], folder/"images") for o in SECTIONS["Lessons"])
    index.insert(1+next(i for i, o in enumerate(index) if o.source.startswith("## Lessons")), mk_cell(f"::::{{grid}} 1 2 2 3\n:gutter: 3\n\n{cards}\n::::", "markdown"))
    for name, names in {**SECTIONS, "Project": ["api", *TEXTS]}.items():  # the sidebar
        entries = "\n".join("Home <self>" if o == "index.ipynb" else page_name(o) for o in names)
        index.append(mk_cell(f"```{{toctree}}\n:hidden:\n{name and ':caption: '+name}\n\n{entries}\n```", "markdown"))
    for page, nb in nbs.items(): write_nb(nb, folder/f"{page}.ipynb")
    for page, o in TEXTS.items(): (folder/f"{page}.md").write_text(local_text((ROOT/o).read_text(encoding="utf-8"), Path(o).parent), encoding="utf-8")
    modules = [f"## {CFG.lib_name}.{page}\n\nFrom [{title(nb)}]({page}.ipynb).\n\n```{{eval-rst}}\n.. automodule:: {CFG.lib_name}.{page}\n```\n"
               for page, nb in nbs.items() if (CFG.lib_path/f"{page}.py").exists() and not page.endswith("_checks")]
    (folder/"api.md").write_text("\n".join(["# API reference\n\n> Every name the lessons export, one module for each notebook.\n", *modules]), encoding="utf-8")


def build_with_sphinx(
    out:Path, # folder of the finished site
)->None:
    "A warning is an error, and only a whole site takes the place of an earlier one."
    from sphinx.cmd.build import main
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder)/"source")
        if code := main(["-q", "-W", "--keep-going", "-c", "docs", "-d", f"{folder}/doctrees", f"{folder}/source", f"{folder}/html"]): sys.exit(code)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(f"{folder}/html", out, ignore=shutil.ignore_patterns(".buildinfo*", "objects.inv", "_sphinx_design_static", "_sources", "webpack-macros.html", "*.map"))
    (out/".nojekyll").touch()  # GitHub Pages hides folders that begin with _


def build_with_quarto():
    from nbdev.quarto import nbdev_docs
    subprocess.run([sys.executable, "docs/readme.py"], check=True)  # newer than index.ipynb: nbdev leaves it alone
    nbdev.serve.FilterDefaults = QuartoFilter
    CFG["recursive"] = True  # nbs/images too
    nbdev_docs.__wrapped__(n_workers=0, force=True)


if __name__ == "__main__":
    if shutil.which("quarto"): build_with_quarto()
    else: build_with_sphinx(Path(sys.argv[1] if len(sys.argv) > 1 else CFG.doc_path).resolve())
