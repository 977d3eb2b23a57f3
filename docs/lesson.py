"How a notebook becomes a page: what a page has and a notebook has not is written into it, as Markdown and HTML."
import base64
import html
import io
import json
import os
import re
from itertools import groupby
from pathlib import Path

import nbformat
from fastcore.foundation import Config
from nbformat.v4 import new_code_cell, new_markdown_cell
from PIL import Image
from sphinx.project import Project

from course_dl._modidx import d as module_index
from course_dl.core import said_type, say
from course_dl.figures import _bytes_of, _kinds, figure_type, figures_file
from course_dl.runner import folded, page_name, split_directives

ROOT = Path(__file__).resolve().parent.parent
LANGUAGE = os.environ.get("COURSE_DL_LANGUAGE") or "en"
ENGLISH = "" if LANGUAGE == "en" else "../"  # where pages lie that no other language has
SETTINGS = Config(ROOT, "settings.ini").d
BLOB = f"{SETTINGS['git_url']}/blob/{SETTINGS['branch']}"
COLAB = "https://colab.research.google.com/assets/colab-badge.svg"
PLAIN_STYLER = re.compile(r'<style type="text/css">\s*</style>\s*<table ')  # of pandas, where it sets no style
SUMMARY = re.compile(r"(?<=<summary>)[^<]+")  # of what is folded
TOLD = re.compile(r'(?<=\btell\()"[^"]+"')  # to readers, by figures.js
SYMBOLS = {name.removeprefix(f"{module}."): name  # of two modules that define a name, the first one's
           for module, names in reversed(module_index["syms"].items()) if ".checks." not in module for name in names}


class Pages(Project):
    "The page of a file has its name, without the number: nbs/03_sgd.ipynb is sgd, benchmarks/README.md is benchmarks."
    def path2doc(self, filename):
        name = super().path2doc(filename)
        if filename.endswith(".ipynb"): return page_name(Path(filename))
        return name and re.sub(r"^docs/|/README$", "", name).lower()


def picture(cell, data):
    "The stored picture of a cell, within a page."
    alt = html.escape(say(split_directives(cell.source)[0].get("fig-alt", "")), quote=True)
    return f'<img alt="{alt}" src="data:image/png;base64,{data.strip()}">'


def show_figures(cells):
    "A figure is its still until a script is there to replace it, with the weights it needs; its module comes once."
    found = None
    for cell in cells:
        for data in (output.data for output in cell.get("outputs", []) if figure_type in output.get("data", {})):
            figure = data.pop(figure_type)
            figure["weights"] = {name: base64.b64encode(_bytes_of(name)).decode() for name in figure["weights"]}
            said = json.dumps(figure).replace("<", r"\u003c")
            wide, narrow = _kinds[figure["kind"]].heights
            data["text/html"] = (
                f'<figure lang="{LANGUAGE}" data-figure="{figure["kind"]}" '
                f'style="--wide: {wide}px; --narrow: {narrow}px"><div>'
                f'{picture(cell, data.pop("image/png"))}<script type="application/json">{said}</script></div></figure>')
            found = data
    if found is None: return
    module = figures_file.read_text(encoding="utf-8") + (ROOT/"docs/figures.js").read_text(encoding="utf-8")
    module = TOLD.sub(lambda text: json.dumps(say(json.loads(text[0])), ensure_ascii=False), module)
    found["text/html"] += f'<script type="module">\n{module}</script>'


def last_frame(film):
    "The last frame of a stored film; nothing for a picture that stands still."
    if not film: return
    with Image.open(io.BytesIO(base64.b64decode(film))) as frames:
        if getattr(frames, "n_frames", 1) == 1: return
        frames.seek(frames.n_frames-1)
        frames.convert("RGB").save(last := io.BytesIO(), "PNG", optimize=True)
    return base64.b64encode(last.getvalue()).decode()


def tidy(cell, data):
    "An output for a page: a film is its last frame and a link that plays it, a picture has the size it was made for."
    data.pop(said_type, None)  # for the runner
    if table := data.get("text/html"): data["text/html"] = PLAIN_STYLER.sub('<table class="dataframe" ', table)
    if last := last_frame(data.get("image/png")):
        play, again = say("▶ Play"), say("↻ Play again")
        data["text/html"] = (
            f'<div class="film">{picture(cell, last)}<p><a class="play" download="film.png" data-again="{again}" '
            f'href="data:image/png;base64,{data.pop("image/png").strip()}">{play}</a></p></div>')


def links(cells, module):
    "What cells export can be linked to, and leads to the API; where they import checks, they lead to the answers."
    code = "\n".join(cell.source for cell in cells if "export" in cell.metadata.get("tags", []))
    names = re.findall(r"^(?:class|def) ([A-Za-z]\w*)", code, re.M)
    anchors = [f'<a id="{form}"></a>' for name in names for form in {name: 0, name.lower(): 0}]  # lower case is nbdev's
    api = f"course_dl.{module}"
    entries = [f' <a href="{ENGLISH}api.html#{api}.{o}" title="{api}.{o}"><code>{o}</code></a>' for o in names]
    if answers := re.match(r"from course_dl\.checks\.(\w+) import check", cells[0].source):
        spoilers = say("Spoilers: what these checks try, and what they answer")
        entries = [f'<a href="{ENGLISH}checks/{answers[1]}.html">{spoilers}</a>']
    text = "".join([*anchors, "API:"*bool(names), *entries])
    return [new_markdown_cell(f'<div class="cell-links"><p>{text}</p></div>')]*bool(text)


def prepare(cell):
    "Directives become tags, and the description of a picture; what is folded has its name in the page's language."
    if cell.cell_type == "markdown": cell.source = SUMMARY.sub(lambda text: say(text[0]), cell.source)
    if cell.cell_type != "code": return
    said, source = split_directives(cell.source)
    image = {"alt": say(said.get("fig-alt", ""))}
    for output in cell.outputs:
        tidy(cell, output.get("data", {}))
        if size := output.get("metadata", {}).get("image/png"): image["width"] = f"{size['width']}px"
    tags = [*cell.metadata.get("tags", []), *said.keys() & {"export", "hide"}]
    cell.metadata.update(tags=tags if source else ["hide"], mystnb=dict(image=image))
    cell.source = source


def fold_of(cell): return next((tag for tag in folded if tag in cell.metadata.get("tags", [])), "")


def in_a_line(fold, row):
    "Cells that one line opens; of a plot, its code alone."
    first, outputs = row[0], [output for cell in row for output in cell.outputs]
    first.source = "\n\n".join(cell.source for cell in row)
    first.outputs = [] if fold == "plot" else outputs
    opened = new_markdown_cell(f'<details class="{fold}"><summary>{say(folded[fold])}</summary>')
    shown = new_code_cell(first.source, outputs=outputs, metadata=dict(first.metadata, tags=["remove-input"]))
    return [opened, first, new_markdown_cell("</details>"), *[shown]*(fold == "plot")]


def page(text, path):
    "A notebook for MyST-NB, without what nbdev alone needs."
    nb = nbformat.reads(text, as_version=4)
    nb.metadata.update(nb.metadata.pop("last_run", {}), language_info={"name": "python", "pygments_lexer": "ipython3"})
    show_figures(nb.cells)
    for cell in nb.cells: prepare(cell)
    cells, nb.cells = [cell for cell in nb.cells if "hide" not in cell.metadata.get("tags", [])], []
    for fold, row in groupby(cells, fold_of):
        for some in [list(row)] if fold in ("proof", "setup") else [[cell] for cell in row]:
            nb.cells += links(some, page_name(Path(path)))
            nb.cells += in_a_line(fold, some) if fold else some
    return nb
