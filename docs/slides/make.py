"""Make slides of lessons in _slides/slides, each a file of its own that asks no other: docs.slides.make [LESSON ...]

What a cell is on the slides, JupyterLab sets as its slide type: `slide` and `subslide` begin a slide (the second one
under the title of the one before), `fragment` adds to it at a click, `skip` leaves out. Other prose is what the speaker
says, other code is left out. A slide shows its heading, the first sentence, lists, tables and formulas; where something
else is better, it stands in the cell's metadata, as `text` beside `slide_type`."""
import base64
import html
import re
import sys
from pathlib import Path
from string import Template

import nbformat
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_dl.core import _write_whole
from course_dl.runner import page_name, split_directives
from docs.conf import mathml
from docs.lesson import ROOT, last_frame, picture

HERE, OUT = Path(__file__).parent, ROOT/"_slides"/"slides"
MOST = 8  # lines of code on a slide
coloured = HtmlFormatter(nowrap=True, style="a11y-high-contrast-light")
markdown = MarkdownIt("commonmark").enable("table").use(
    dollarmath_plugin, double_inline=True, renderer=lambda text, how: mathml(text, how["display_mode"]))


def text_of(name): return (HERE/name).read_text(encoding="utf-8")


def with_slides():
    "The lessons that have slides."
    return [path for path in sorted((ROOT/"nbs").glob("*.ipynb")) if '"slide_type"' in path.read_text(encoding="utf-8")]


def as_html(text):
    "Markdown without links, which nobody can click on a wall."
    return markdown.render(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text))


def blocks(text):
    "The parts of a cell between blank lines; what is folded is none of them."
    return re.split(r"\n\s*\n", re.sub(r"<details>.*?</details>", "", text, flags=re.S).strip())


def first_sentence(text): return re.split(r"(?<=[.!?:])\s+(?=[^a-z\d(])", text, maxsplit=1)[0]


def in_short(text):
    "Heading and rest of a cell: its first sentence, and what is no sentence."
    title, kept, said = "", [], False
    for block in blocks(text):
        if heading := re.match(r"#+ (.*)", block): title = heading[1]
        elif re.match(r"!\[|[-*] |[>|]|\d+\. |\$\$|```", block): kept.append(block)
        elif not said: kept, said = [*kept, first_sentence(block)], True
    return title, "\n\n".join(kept)


def image(cell, data):
    "The picture of a cell; a film shows its last frame and runs when its slide comes."
    if not (still := last_frame(data)): return picture(cell, data)
    return picture(cell, still).replace("<img", f'<img data-film="data:image/png;base64,{data.strip()}"', 1)


def shown(cell):
    "A code cell on a slide: its picture alone, or its code and what that printed."
    outputs = [output.get("data", {}) for output in cell.outputs]
    if pictures := [data["image/png"] for data in outputs if "image/png" in data]: return image(cell, pictures[0])
    code = split_directives(cell.source)[1].strip()
    printed = "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.outputs).strip()
    if len(code.splitlines()) > MOST: raise ValueError(f"cell {cell.id}: a slide holds {MOST} lines of code")
    below = f'<pre class="out">{html.escape(printed)}</pre>' if printed else ""
    return f"<pre>{highlight(code, PythonLexer(), coloured)}</pre>{below}"


def slides(nb):
    "Each slide as its title, its parts and what the speaker says."
    found = []
    for cell in nb.cells:
        said = cell.metadata.get("slideshow", {})
        kind, text = said.get("slide_type", ""), said.get("text")
        if kind == "skip" or not kind and (cell.cell_type == "code" or not found): continue
        title, short = in_short(cell.source) if cell.cell_type == "markdown" else ("", "")
        if kind in ("slide", "subslide"): found.append((title or found[-1][0], [], []))
        if kind in ("slide", "subslide", "fragment"):
            parts = [as_html(short if text is None else text)]
            if cell.cell_type == "code": parts.append(shown(cell))
            part = "".join(parts)
            found[-1][1].append(f'<div class="part fragment">{part}</div>' if kind == "fragment" else part)
        if cell.cell_type == "markdown" and not cell.source.startswith("[!["):
            spoken = re.sub(r"^#+ .*|</?details>|<summary>.*?</summary>", "", cell.source, flags=re.M)
            found[-1][2].append(as_html(spoken))
    return found


def page(path):
    "All slides of a lesson as one HTML file."
    nb = nbformat.read(path, as_version=4)
    (title, opening, notes), *rest = slides(nb)
    def section(title, parts, notes, level=2, kind=""):
        head = f"<h{level}>{markdown.renderInline(title)}</h{level}>"
        return (f'<section><div class="slide {kind}">{head}<div class="body">{"".join(parts)}</div></div>'
                f'<aside class="notes">{"".join(notes)}</aside></section>')
    font = base64.b64encode((ROOT/"docs"/"_static"/"math.woff2").read_bytes()).decode()
    sections = [section(title, opening, notes, 1, "title"), *[section(*slide) for slide in rest]]
    css = text_of("reveal/reveal.css"), coloured.get_style_defs("pre"), text_of("slides.css")
    scripts = {name: text_of(f"reveal/{name}.js").partition("//# source")[0] for name in ("reveal", "notes")}
    return Template(text_of("page.html")).substitute(
        scripts, title=html.escape(title.replace("`", "")), sections="\n".join(sections), font=font,
        css="\n".join(css), licence=text_of("reveal/LICENSE").strip())


def main(names):
    OUT.mkdir(parents=True, exist_ok=True)
    for path in with_slides():
        if names and path.stem not in names and page_name(path) not in names: continue
        _write_whole(OUT/f"{page_name(path)}.html", page(path).encode())
        print(f"{OUT/page_name(path)}.html")


if __name__ == "__main__": main(sys.argv[1:])
