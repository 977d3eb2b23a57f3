"""Build the site into `_docs`: with Quarto where it is installed, with Sphinx where it is not.

Both start from nbdev's processed notebooks and the order and sections of `_quarto.yml`."""
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

sys.modules.setdefault("rfc3987_syntax", None)  # nbformat would have jsonschema build a grammar of web addresses, for seconds, and never use it
import nbdev.serve
import nbformat
import yaml
from execnb.nbio import mk_cell
from filelock import FileLock
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html
from nbdev.frontmatter import _md2dict
from nbdev.processors import FilterDefaults
from nbformat.v4 import new_markdown_cell

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT/"build"/"site"  # what Sphinx reads, and what it remembers between two calls
os.chdir(ROOT)  # nbdev looks for settings.ini in the working folder
CFG = get_config()
NBS = CFG.nbs_path
BLOB = f"{CFG.git_url}/blob/{CFG.branch}"
TEXTS = {"benchmarks/README.md": "benchmarks", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}  # Markdown files that get a page


@cache
def sections(
)->list: # pairs of a heading ("" for the top) and the notebooks under it, in the order of the site
    "Sections of the sidebar in `_quarto.yml`."
    contents = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))["website"]["sidebar"]["contents"]
    return [("", [o for o in contents if isinstance(o, str)]), *((o["section"], o["contents"]) for o in contents if isinstance(o, dict))]


def page_name(notebook): return _nbpath2html(Path(notebook)).stem


def pages(): return {page_name(o): o for _, names in sections() for o in names}


@cache
def read(name): return nbformat.read(NBS/name, as_version=4)


class CourseFilter(FilterDefaults):
    "nbdev's filter, which here keeps what a reader needs: the text under the title, and the code that is exported."
    def __call__(self, nb):
        first = next(o for o in nb.cells if o.cell_type == "markdown")
        title = re.match(r"#\s+.+\n+(>.*(?:\n|$))?", first.source)
        if title and (rest := first.source[title.end():].strip()):  # nbdev takes the whole cell for front matter
            first.source = title[0].strip()
            nb.cells.insert(nb.cells.index(first)+1, mk_cell(rest, "markdown"))
            for i, o in enumerate(nb.cells): o.idx_ = i
        for o in nb.cells:
            if o.cell_type == "code": o.source = re.sub(r"^#\|\s*exporti?\s*$", "#| exports", o.source, flags=re.M)
        return super().__call__(nb)


class QuartoFilter(CourseFilter):
    "With links to the top folder, which has no pages there, led to GitHub."
    def __call__(self, nb):
        for o in nb.cells:
            if o.cell_type == "markdown": o.source = o.source.replace("](../", f"]({BLOB}/")
        return super().__call__(nb)


class SphinxFilter(CourseFilter):
    "Without the documentation of symbols, which gets a page of its own; so nothing is imported or run."
    def base_procs(self): return [o for o in super().base_procs() if o.__name__ not in ("add_show_docs", "exec_show_docs", "mv_exports", "insert_warning")]


def local_link(
    link:str,    # target of a link or picture
    folder:Path, # folder that the link starts in
)->str: # the target on the site
    "A link between files of the repository as one between pages; what has no page is linked on GitHub."
    docs = f"{CFG.doc_host}{CFG.doc_baseurl}/"
    if link.startswith(docs):  # nbdev's link to a symbol
        return "#" + CFG.lib_name + "." + link.removeprefix(docs).replace(".html#", ".")
    if re.match(r"\w+:|#", link): return link
    target, _, anchor = link.partition("#")
    place, anchor = (folder/target).resolve(), anchor and "#"+anchor.lower()
    if not place.exists() or not place.is_relative_to(ROOT): return link
    path = place.relative_to(ROOT).as_posix()
    if place.parent == NBS.resolve() and place.name in pages().values(): return f"{page_name(place.name)}.ipynb{anchor}"
    if path in TEXTS: return f"{TEXTS[path]}.md{anchor}"
    if place.is_relative_to(NBS.resolve()/"images"): return f"images/{place.name}"
    return f"{BLOB if place.is_file() else BLOB.replace('/blob/', '/tree/')}/{path}"


def local_text(
    text:str,    # Markdown
    folder:Path, # folder of the file it stands in
)->str: # Markdown for the site
    "Links and pictures as the site has them: the Colab badge is a local copy, other badges go."
    text = text.replace("https://colab.research.google.com/assets/colab-badge.svg", "images/colab.svg")
    text = re.sub(r"\[!\[[^\]]*\]\(https?://[^)]+\)\]\([^)]+\) ?", "", text)
    text = re.sub(rf"\[(`[^`]+`)\]\({CFG.doc_host}{CFG.doc_baseurl}/\w+\.html#(?:\w+\.)*_\w+\)", r"\1", text)  # private names have no entry
    parts = re.split(r"(```.*?```)", text, flags=re.S)  # code stays as it is
    parts[::2] = [re.sub(r"\]\(([^)\s]+)\)", lambda m: f"]({local_link(m[1], folder)})", o) for o in parts[::2]]
    return "".join(parts)


def fig_alt(cell): return next(iter(re.findall(r"^#\|\s*fig-alt:\s*(.+)$", cell.source, flags=re.M)), "")


def staged(
    notebook:str, # name of a notebook
)->nbformat.NotebookNode: # the notebook as Sphinx reads it
    "One processed notebook: title back in place, directives gone, each picture with its text."
    nb = nbformat.read(ROOT/"_proc"/notebook, as_version=4)
    front = yaml.safe_load(nb.cells.pop(0).source.strip().strip("-"))
    cells = [new_markdown_cell(f"# {front['title']}\n\n> {front.get('description', '')}")]
    for c in nb.cells:
        if c.cell_type == "markdown": c.source = local_text(c.source, NBS)
        else:
            c.metadata = {"mystnb": {"image": {"alt": alt}}} if (alt := fig_alt(c)) else {}
            c.source = re.sub(r"^#\|.*\n?", "", c.source, flags=re.M).strip()
            for o in c.outputs:  # a pandas Styler that sets no style is a plain table
                if html := o.get("data", {}).get("text/html"): o.data["text/html"] = re.sub(r'<style type="text/css">\s*</style>\s*<table ', '<table class="dataframe" ', html)
            # Where nbdev's own pages have the documentation of a symbol, ours have its code.
            names = [o for o in re.findall(r"^(?:def|class) ([a-z]\w*)", c.source, flags=re.M | re.I) if o.lower() != o or "_" in o]
            if names: cells.append(new_markdown_cell("".join(f'<span id="{o}"></span>' for o in names)))
        if c.source or c.get("outputs"): cells.append(c)
    nb.cells = cells
    nb.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for i, o in enumerate(cells): o["id"] = f"c{i}"
    return nb


def gallery(
)->tuple: # Markdown, and the pictures by name
    "A card for each lesson, with its first picture."
    cards, files = [], {}
    for notebook in dict(sections())["Lessons"]:
        nb, page = read(notebook), page_name(notebook)
        about = _md2dict(nb.cells[0].source)
        card = f":::{{grid-item-card}} {about['title']}\n:link: {page}\n:link-type: doc\n"
        pictures = [(o.data["image/png"], fig_alt(c)) for c in nb.cells if fig_alt(c) for o in c.outputs if "image/png" in o.get("data", {})]
        for picture, alt in pictures[:1]:
            files[f"images/{page}.png"] = base64.b64decode(picture)
            card += f":img-top: images/{page}.png\n:img-alt: {alt}\n"
        cards.append(f"{card}\n{about.get('description', '')}\n:::\n")
    return "::::{grid} 1 2 2 3\n:gutter: 3\n\n" + "\n".join(cards) + "::::", files


def toctrees():
    "The sidebar, as hidden tables of contents."
    more = ("Project", ["api.md", *(f"{o}.md" for o in TEXTS.values())])
    for title, names in [*sections(), more]:
        entries = "\n".join("Home <self>" if o == CFG.readme_nb else page_name(o) for o in names)
        yield f"```{{toctree}}\n:hidden:\n{':caption: '+title if title else ''}\n\n{entries}\n```"


def stage(
    folder:Path, # folder that Sphinx reads
)->None:
    "Write what Sphinx reads, but only files that have changed, so that only their pages are built again."
    from api import api_page
    nbdev.serve.FilterDefaults = SphinxFilter
    nbdev.serve.proc_nbs(n_workers=0, force=True)
    cards, files = gallery()
    for page, notebook in pages().items():
        nb = staged(notebook)
        if notebook == CFG.readme_nb:
            for o in nb.cells:  # the pictures close the section on the lessons
                if o.cell_type == "markdown": o.source = re.sub(r"^## Lessons\n.*?(?=^## |\Z)", lambda m: f"{m[0].strip()}\n\n{cards}\n\n", o.source, flags=re.M | re.S)
            nb.cells += [new_markdown_cell(o, id=f"t{i}") for i, o in enumerate(toctrees())]
        files[f"{page}.ipynb"] = nbformat.writes(nb).encode()
    for name, page in TEXTS.items(): files[f"{page}.md"] = local_text((ROOT/name).read_text(encoding="utf-8"), (ROOT/name).parent).encode()
    files["api.md"] = api_page().encode()
    files["images/colab.svg"] = (ROOT/"docs"/"colab.svg").read_bytes()
    for o in (NBS/"images").glob("*"): files[f"images/{o.name}"] = o.read_bytes()
    for name, content in files.items():
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        if not (folder/name).exists() or (folder/name).read_bytes() != content: (folder/name).write_bytes(content)


def stamp(
    *names:str, # files and folders in the top folder
)->str: # a hash of the files, and of those in the folders
    files = {o for name in names for o in (ROOT/name, *(ROOT/name).rglob("*")) if o.is_file() and o.suffix != ".pyc"}
    return hashlib.sha256(b"".join(str(o).encode() + o.read_bytes() for o in sorted(files))).hexdigest()


def build_with_sphinx(
    out:Path, # folder of the finished site
)->int: # exit code
    "Build what has changed with Sphinx; a warning is an error."
    shape, rest, kept = stamp("docs", "_quarto.yml", "settings.ini", "constraints.txt"), stamp(NBS.name, CFG.lib_path.name, *TEXTS), WORK/"stamp"
    before = kept.read_text().split() if kept.exists() else []
    if before[:1] != [shape]: shutil.rmtree(WORK, ignore_errors=True)  # what shapes every page has changed: build all anew
    if before != [shape, rest]:
        stage(WORK/"source")
        kept.write_text(shape)
        done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-c", "docs",
                               "-d", WORK/"doctrees", WORK/"source", WORK/"html"]).returncode
        if done: return done
        kept.write_text(f"{shape} {rest}")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(WORK/"html", out, ignore=shutil.ignore_patterns(".buildinfo*", "objects.inv", "_sphinx_design_static", "_sources", "webpack-macros.html", "*.map"))
    (out/".nojekyll").touch()  # GitHub Pages hides folders that begin with _
    return 0


def build_with_quarto():
    "Build the site with nbdev and Quarto."
    from nbdev.quarto import nbdev_docs
    subprocess.run([sys.executable, "docs/readme.py"], check=True)  # newer than index.ipynb: nbdev leaves it alone
    nbdev.serve.FilterDefaults = QuartoFilter
    CFG["recursive"] = True  # nbs/images too
    nbdev_docs.__wrapped__(n_workers=0, force=True)


if __name__ == "__main__":
    out = Path(sys.argv[1] if len(sys.argv) > 1 else CFG.doc_path).resolve()
    WORK.parent.mkdir(exist_ok=True)
    with FileLock(WORK.parent/"site.lock"):  # two calls at once share the folders they work in
        if shutil.which("quarto"): build_with_quarto()
        elif code := build_with_sphinx(out): sys.exit(code)
    print(f"The site is at {out/'index.html'}")
