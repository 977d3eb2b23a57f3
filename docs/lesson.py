"How Sphinx reads a notebook: in place, as it is, with what a page has and a notebook has not."
import ast
import posixpath
import re
from pathlib import Path

import nbformat
from docutils import nodes
from PIL import Image
from sphinx import addnodes
from sphinx.project import Project
from sphinx.transforms import SphinxTransform

DIRECTIVE = re.compile(r"^#\|[ \t]*([\w-]+):?[ \t]*(.*)\n?", re.M)
PLAIN_STYLER = re.compile(r'<style type="text/css">\s*</style>\s*<table ')  # of pandas, where it sets no style
FOLDED = {"proof": "✓ checked", "setup": "Set-up"}  # cells with these tags are a line that opens
COLAB = "https://colab.research.google.com/assets/colab-badge.svg"


class Pages(Project):
    "The page of a file has its name, without the number: nbs/03_sgd.ipynb is sgd, benchmarks/README.md is benchmarks."
    def path2doc(self, filename):
        name = super().path2doc(filename)
        return name and re.sub(r"^(nbs|docs)/(\d+_)?|/README$", "", name).lower()


def read(
    text:str, # a notebook, as it lies in its file
)->nbformat.NotebookNode: # for MyST-NB
    "Directives become tags, and the description of a picture; what nbdev alone needs is left out."
    nb = nbformat.reads(text, as_version=4)
    nb.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in nb.cells:
        if cell.cell_type != "code": continue
        said = dict(DIRECTIVE.findall(cell.source))
        cell.source = DIRECTIVE.sub("", cell.source).strip("\n")
        hidden = "hide" in said or not cell.source
        tags = [*cell.metadata.get("tags", []), *said.keys() & {"export"}, *["remove-cell"]*hidden]
        cell.metadata.update(tags=tags, mystnb={"image": {"alt": said.get("fig-alt", "")}})
        for output in cell.outputs:
            data = output.get("data", {})
            data.pop("application/vnd.course-dl+json", None)  # for the runner
            if html := data.get("text/html"): data["text/html"] = PLAIN_STYLER.sub('<table class="dataframe" ', html)
    return nb


def notebook_of(env, docname):
    "The path of a page's notebook from the top folder, or an empty one for other pages."
    path = env.doc2path(docname, base=False).as_posix()
    return path if path.endswith(".ipynb") else ""


class film(nodes.image):
    "A picture that moves when asked to, and ends on its last frame."


def visit_film(self, node):
    "The last frame, and a button that plays the film in its place."
    name, folder = self.builder.images[node["uri"]], Path(self.builder.outdir)/self.builder.imagedir
    still = f"still-{name}"
    with Image.open(Path(self.builder.srcdir)/node["uri"]) as frames:
        frames.seek(frames.n_frames-1)
        folder.mkdir(parents=True, exist_ok=True)
        frames.convert("RGB").save(folder/still)
    path = self.builder.imgpath
    image = dict(src=posixpath.join(path, still), alt=node["alt"], **{"data-film": posixpath.join(path, name)})
    self.body.append(f'<div class="film">{self.emptytag(node, "img", "", **image)}'
                     '<button type="button" hidden>▶ Play</button></div>')
    raise nodes.SkipNode


class Page(SphinxTransform):
    "Links that lead to pages, local badges, films, folds, and the names that a cell defines."
    default_priority = 500

    def apply(self):
        self.notebook = notebook_of(self.env, self.env.docname)
        for link in list(self.document.findall(addnodes.download_reference)): self.to_github(link)
        for image in list(self.document.findall(nodes.image)): self.picture(image)
        if not self.notebook: return
        for code in list(self.document.findall(nodes.literal)): self.symbol(code)
        for cell in list(self.document.findall(nodes.container)):
            if "cell" in cell["classes"]: self.cell(cell)

    def to_github(self, link):
        "A file of the repository that has no page."
        folder = self.env.doc2path(self.env.docname, base=False).parent.as_posix()
        path = posixpath.normpath(f"{folder}/{link['reftarget']}")
        link.replace_self(nodes.reference("", "", *link.children, refuri=f"{self.config.blob}/{path}"))

    def picture(self, image):
        "Badges of other hosts are local, or go; what has frames is a film."
        if image["uri"] == COLAB: image["uri"] = "/docs/_static/colab.svg"
        elif "://" in image["uri"]: image.parent.parent.remove(image.parent)
        elif image["uri"].endswith(".png"):
            with Image.open(self.env.relfn2path(image["uri"], self.env.docname)[1]) as file:
                if getattr(file, "n_frames", 1) > 1: image.replace_self(film("", **image.attributes))

    def symbol(self, code):
        "A name of the package leads to its entry in the API, as nbdev does it."
        name = self.config.symbols.get(code.astext().removesuffix("()"))
        inside = code.parent
        while inside and not isinstance(inside, (nodes.reference, addnodes.pending_xref, nodes.title)): inside = inside.parent
        if name and not inside: code.replace_self(self.to_api(name, code.deepcopy()))

    def to_api(self, name, text):
        return addnodes.pending_xref("", text, refdomain="py", reftype="obj", reftarget=name, refdoc=self.env.docname)

    def cell(self, cell):
        "What it defines can be linked to, what it exports leads to the API, proofs and set-up are folded."
        tags, code = cell["cell_metadata"]["tags"], next(cell.findall(nodes.literal_block)).astext()
        names = [] if re.search(r"^\s*[%!]", code, re.M) else definitions(code)
        for anchor in (form for name in names for form in (name, name.lower())):  # lower case is nbdev's
            if anchor in self.document.ids: continue
            self.document.ids[anchor] = cell
            cell["ids"].append(anchor)
        public = [name for name in names if "export" in tags and name[0] != "_"]
        if public:
            links = nodes.paragraph("", "API: ", classes=["api-links"])
            for name in public:
                target = f"{self.config.project}.{self.env.docname}.{name}"
                links += [self.to_api(target, nodes.literal(name, name)), nodes.Text(" ")]
            cell.insert(1, links)
        for tag in FOLDED.keys() & set(tags):
            cell.insert(0, nodes.raw("", f'<details class="{tag}"><summary>{FOLDED[tag]}</summary>', format="html"))
            cell.append(nodes.raw("", "</details>", format="html"))


def definitions(code): return [o.name for o in ast.parse(code).body if isinstance(o, ast.FunctionDef | ast.ClassDef)]
