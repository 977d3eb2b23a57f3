"How Sphinx reads a notebook: in place, as it is, with what a page has and a notebook has not."
import ast
import base64
import html
import json
import posixpath
import re
from pathlib import Path

import nbformat
from docutils import nodes
from fastcore.foundation import Config
from PIL import Image
from sphinx import addnodes
from sphinx.project import Project
from sphinx.transforms import SphinxTransform

from course_dl._modidx import d as module_index
from course_dl.core import said_type
from course_dl.figures import _bytes_of, _kinds, figure_type, figures_file
from course_dl.runner import folded, page_name, split_directives

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = Config(ROOT, "settings.ini").d
BLOB = f"{SETTINGS['git_url']}/blob/{SETTINGS['branch']}"
COLAB = "https://colab.research.google.com/assets/colab-badge.svg"
PLAIN_STYLER = re.compile(r'<style type="text/css">\s*</style>\s*<table ')  # of pandas, where it sets no style
SYMBOLS = {name.removeprefix(f"{module}."): name  # of two modules that define a name, the first one's
           for module, names in reversed(module_index["syms"].items()) for name in names}


class Pages(Project):
    "The page of a file has its name, without the number: nbs/03_sgd.ipynb is sgd, benchmarks/README.md is benchmarks."
    def path2doc(self, filename):
        name = super().path2doc(filename)
        if filename.endswith(".ipynb"): return page_name(Path(filename))
        return name and re.sub(r"^docs/|/README$", "", name).lower()


def name_pages(app): app.project = app.env.project = Pages(app.srcdir, app.config.source_suffix)
def page_of(path): return Pages(ROOT, [".ipynb", ".md"]).path2doc(path)


def show_figures(
    cells:list, # of a notebook; outputs with a figure get the HTML of it
)->None:
    "A figure is its still until a script is there to replace it; module and weights stand on a page once."
    found, files = None, {}
    for cell in cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if not (figure := data.pop(figure_type, None)): continue
            files |= figure["weights"]
            alt = html.escape(split_directives(cell.source)[0].get("fig-alt", ""), quote=True)
            said = json.dumps(figure).replace("<", r"\u003c")
            wide, narrow = _kinds[figure["kind"]].heights
            data["text/html"] = (
                f'<figure data-figure="{figure["kind"]}" style="--wide: {wide}px; --narrow: {narrow}px"><div>'
                f'<img alt="{alt}" src="data:image/png;base64,{data.pop("image/png").strip()}">'
                f'<script type="application/json">{said}</script></div></figure>')
            found = data
    if found is None: return
    for name in files:
        weights = base64.b64encode(_bytes_of(name)).decode()
        found["text/html"] += f'<script type="text/plain" data-weights="{name}">{weights}</script>'
    module = figures_file.read_text(encoding="utf-8") + (ROOT/"docs/figures.js").read_text(encoding="utf-8")
    found["text/html"] += f'<script type="module">\n{module}</script>'


def read(
    text:str, # a notebook, as it lies in its file
)->nbformat.NotebookNode: # for MyST-NB
    "Directives become tags, and the description of a picture; what nbdev alone needs is left out."
    nb = nbformat.reads(text, as_version=4)
    show_figures(nb.cells)
    nb.metadata.update(nb.metadata.pop("last_run", {}), language_info={"name": "python", "pygments_lexer": "ipython3"})
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        said, cell.source = split_directives(cell.source)
        tags = [*cell.metadata.get("tags", []), *said.keys() & {"export"}]
        if "hide" in said or not cell.source: tags.append("remove-cell")
        cell.metadata.update(tags=tags, mystnb={"image": {"alt": said.get("fig-alt", "")}})
        for data in (output.data for output in cell.outputs if "data" in output):
            data.pop(said_type, None)  # for the runner
            if table := data.get("text/html"): data["text/html"] = PLAIN_STYLER.sub('<table class="dataframe" ', table)
    nb.cells = in_one_line([cell for cell in nb.cells if "remove-cell" not in cell.metadata.get("tags", [])])
    return nb


def in_one_line(cells):
    "Cells, those in a row that are folded alike joined into one."
    joined = []
    for cell in cells:
        last = joined[-1].metadata.get("tags", []) if joined else []
        if {"proof", "setup"}.intersection(last, cell.metadata.get("tags", [])):
            joined[-1].source += f"\n\n{cell.source}"
            joined[-1].outputs += cell.outputs
            joined[-1].metadata["tags"] = [*dict.fromkeys([*last, *cell.metadata["tags"]])]
        else: joined.append(cell)
    return joined


def around(node, kinds):
    "The nearest part of a page around a node that is of one of these kinds, or None."
    while node and not isinstance(node, kinds): node = node.parent
    return node


class Page(SphinxTransform):
    "Links that lead to pages, local badges, films, folds, and the names that a cell defines."
    default_priority = 500

    def apply(self):
        self.page = self.env.docname
        self.path = self.env.doc2path(self.page, base=False)
        for link in list(self.document.findall(addnodes.download_reference)): self.to_github(link)
        for image in list(self.document.findall(nodes.image)): self.picture(image)
        if self.path.suffix != ".ipynb": return
        if self.page.startswith("checks/"):  # answers stand in no list and are not searched
            self.env.metadata[self.page].update(orphan=True, nosearch=True)
        for code in list(self.document.findall(nodes.literal)): self.symbol(code)
        for cell in list(self.document.findall(nodes.container)):
            if "cell" in cell["classes"]: self.cell(cell)

    def to_github(self, link):
        "A file of the repository that has no page."
        path = posixpath.normpath(f"{self.path.parent.as_posix()}/{link['reftarget']}")
        link.replace_self(nodes.reference("", "", *link.children, refuri=f"{BLOB}/{path}"))

    def picture(self, image):
        "Badges of other hosts are local, or go; what has frames is a film."
        if image["uri"] == COLAB: image["uri"] = "/nbs/images/colab.svg"
        elif "://" in image["uri"]:
            if badge := around(image, nodes.reference): badge.parent.remove(badge)
        elif image["uri"].endswith(".png"):
            path = Path(self.env.relfn2path(image["uri"], self.page)[1])
            with Image.open(path) as frames:
                if getattr(frames, "n_frames", 1) > 1: self.film(image, frames, path)

    def film(self, image, frames, path):
        "Its last frame; a link plays it there."
        frames.seek(frames.n_frames-1)
        frames.convert("RGB").save(path.with_name(f"still-{path.name}"))
        play = addnodes.download_reference("", "▶ Play", reftarget=image["uri"], refdoc=self.page, classes=["play"])
        still = image.copy()
        still["uri"] = image["uri"].replace(path.name, f"still-{path.name}")
        image.replace_self(nodes.container("", still, nodes.paragraph("", "", play), classes=["film"]))

    def symbol(self, code):
        "A name of the package leads to its entry in the API, as nbdev does it."
        name = SYMBOLS.get(code.astext().removesuffix("()"))
        if not name or around(code, nodes.reference | addnodes.pending_xref | nodes.title): return
        code.replace_self(self.to(name, code.deepcopy()))

    def to(self, target, text, domain="py", kind="obj"):
        return addnodes.pending_xref("", text, refdomain=domain, reftype=kind, reftarget=target, refdoc=self.page,
                                     refexplicit=True)

    def cell(self, cell):
        "What it defines can be linked to, what it exports leads to the API, proofs and set-up are folded."
        tags, code = cell["cell_metadata"]["tags"], next(cell.findall(nodes.literal_block)).astext()
        tree = [] if re.search(r"^\s*[%!]", code, re.M) else ast.parse(code).body
        names = [o.name for o in tree if isinstance(o, ast.FunctionDef | ast.ClassDef)]
        for anchor in (form for name in names for form in (name, name.lower())):  # lower case is nbdev's
            if anchor in self.document.ids: continue
            self.document.ids[anchor] = cell
            cell["ids"].append(anchor)
        label, links = "API:", [self.to(f"course_dl.{self.page}.{name}", nodes.literal(name, name))
                                for name in names if "export" in tags and name[0] != "_"]
        if answers := re.match(r"from course_dl\.checks\.(\w+) import check", code):
            text = nodes.inline("", "what these checks try, and what they answer")
            label, links = "Spoilers:", [self.to(f"/checks/{answers[1]}", text, "std", "doc")]
        if links: cell.insert(1, nodes.paragraph("", f"{label} ", *links, classes=["cell-links"]))
        for tag in folded.keys() & set(tags):
            shown = [child for child in cell if tag == "plot" and "cell_output" in child["classes"]]
            end = cell.index(shown[0]) if shown else len(cell)
            cell.insert(end, nodes.raw("", "</details>", format="html"))
            cell.insert(0, nodes.raw("", f'<details class="{tag}"><summary>{folded[tag]}</summary>', format="html"))
