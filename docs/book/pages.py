"What the book reads of a notebook, and what it writes: chapters without the folded cells, solutions, an EPUB's XHTML."
import posixpath
import re
from pathlib import Path
from string import Template

import nbformat
from bs4 import BeautifulSoup
from nbformat.v4 import new_markdown_cell
from PIL import Image
from sphinx.builders.epub3 import Epub3Builder

from course_dl.core import said_type
from course_dl.figures import figure_type
from course_dl.runner import page_name
from course_dl.student import lesson_exercises
from docs import lesson
from docs.conf import PATHS, SECTIONS, SETTINGS, math, text_of

PLOT = re.compile(r"\{'text/plain': '<matplotlib")  # the value of a plot's last line is no result
BOOK = [*SECTIONS["Lessons"], "nbs/21_pitfalls.ipynb", "nbs/22_glossary.ipynb"]
HERE = "docs/book"
HOST = f"{SETTINGS['doc_host']}{SETTINGS['doc_baseurl']}"


class Pages(lesson.Pages):
    "The page of a lesson has its name; the two pages that the book adds have theirs."
    def path2doc(self, filename):
        name = super().path2doc(filename)
        return name and name.removeprefix("book/")


def book_links(text, folder):
    "Links from a lesson: to what is in this book from `folder`, to other pages of the site, or to GitHub."
    def link(found):
        path = posixpath.normpath(f"nbs/{found[1]}")
        if path in BOOK or path.endswith(".png"): return f"]({posixpath.relpath(path, folder)}{found[2]})"
        name = lesson.Pages(lesson.ROOT, [".ipynb", ".md"]).path2doc(path) if path in PATHS else ""
        return f"]({HOST}/{name}.html{found[2]})" if name else f"]({lesson.BLOB}/{path}{found[2]})"
    text = re.sub(r"^\[!\[Open in Colab\].*\n*", "", text, flags=re.M)
    return re.sub(r"\]\(([^)#:\s]+)((?:#[^)]*)?)\)", link, text)


def label(page, kind, i): return f"{kind}-{page}-{i}"


def still(cell, page):
    "A figure to play with is its picture, a film its last frame; a line below says where it moves."
    moves = ""
    for data in (output.data for output in cell.get("outputs", []) if "data" in output):
        if data.pop(figure_type, None): moves = "can be moved"
        if last := lesson.last_frame(data.get("image/png")): data["image/png"], moves = last, "is a film"
    return [new_markdown_cell(f"*On [the site]({HOST}/{page}.html) this picture {moves}.*")]*bool(moves)


def chapter(text, path):
    "A notebook for the book: without what it folds, without checks, with links to the solutions."
    nb, page = nbformat.reads(text, as_version=4), page_name(Path(path))
    for i, exercise in enumerate(lesson_exercises(nb), 1):
        task = nb.cells[exercise["stub"]-1]
        task.source = f"({label(page, 'exercise', i)})=\n{task.source}"
        nb.cells[exercise["solution"]] = new_markdown_cell(f"{{ref}}`Solution <{label(page, 'solution', i)}>`")
    cells, nb.cells = nb.cells, []
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        checks = re.match(r"check\.|from course_dl\.checks", cell.source)
        if {"proof", "setup"} & set(tags) or cell.cell_type == "code" and checks: continue
        if cell.cell_type == "markdown": cell.source = book_links(cell.source, "nbs")
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if not PLOT.match(str(o.get("data")))]
            tells = any(o.get("data", {}).get(said_type, {}).get("kind") == "Result" for o in cell.outputs)
            if tells or "plot" in tags: cell.metadata["tags"] = ["remove-input"]
        nb.cells += [cell, *still(cell, page)]
    made = lesson.page(nbformat.writes(nb), path)
    made.cells = [cell for cell in made.cells if not cell.source.startswith('<div class="cell-links">')]
    return nbformat.writes(made)


def solutions():
    "The folded solutions of all lessons, opened, each with a link back to its exercise."
    for path in BOOK:
        nb, page = nbformat.reads(text_of(path), as_version=4), page_name(Path(path))
        if exercises := lesson_exercises(nb): yield nb.cells[0].source.splitlines()[0].replace("# ", "## ", 1)
        for i, exercise in enumerate(exercises, 1):
            body = re.sub(r"</?details>|<summary>.*?</summary>", "", nb.cells[exercise["solution"]].source).strip()
            yield f"({label(page, 'solution', i)})=\n### {i}. {exercise['title']}"
            yield f"{{ref}}`The exercise <{label(page, 'exercise', i)}>`"
            yield book_links(body, HERE)


def prepare(app, page, source):
    path = app.env.doc2path(page, base=False).as_posix()
    if page == "preface":
        dates = {nbformat.reads(text_of(o), as_version=4).metadata["last_run"]["date"] for o in BOOK}
        made = " to ".join(sorted({min(dates), max(dates)}))
        source[0] = Template(source[0]).substitute(SETTINGS, host=HOST, made=made)
        names = [*map(app.project.path2doc, BOOK), "solutions"]
        source[0] += "\n".join(["", "```{toctree}", ":hidden:", "", *names, "```"])
    elif page == "solutions": source[0] = "\n\n".join([source[0], *solutions()])
    else: source[0] = chapter(source[0], path)


def to_xhtml(app, page, template, context, doctree):
    "Outputs are HTML as their libraries write it; an EPUB holds XHTML. What was folded is open, in a frame."
    context["css_files"] = [css for css in context["css_files"] if "mystnb" not in css.filename]  # not in the EPUB
    if not context.get("body"): return
    soup = BeautifulSoup(context["body"], "html.parser")
    for tag in soup.select("style, script, a.headerlink"): tag.decompose()
    for tag in soup.select("[border], [valign]"): del tag["border"], tag["valign"]
    for tag in soup.select("details"): tag.name, tag["class"] = "div", "aside"
    for tag in soup.select("summary"): tag.name, tag["class"] = "p", "aside-title"
    context["body"] = str(soup)


class Builder(Epub3Builder):
    "An EPUB with a cover as high as a book, whose manifest names it and the pages that hold formulas."
    media_types = Epub3Builder.media_types | {".woff2": "font/woff2"}

    def build_content(self):
        path = self.outdir/self.config.epub_cover[0]
        with Image.open(path) as picture:
            cover = Image.new("RGB", (picture.width, picture.width*8//5), picture.getpixel((0, 0)))
            cover.paste(picture, (0, (cover.height - picture.height)//2))
        cover.save(path)
        super().build_content()
        def declare(found):
            path = self.outdir/found[1]
            said = "cover-image" if found[1] == self.config.epub_cover[0] else ""
            if path.suffix == ".xhtml" and "<math" in path.read_text(encoding="utf-8"): said = "mathml"
            return found[0].replace(" />", f' properties="{said}" />') if said else found[0]
        opf = self.outdir/"content.opf"
        opf.write_text(re.sub(r'<item id="[^"]*" href="([^"]*)"[^>]* />', declare, opf.read_text(encoding="utf-8")),
                       encoding="utf-8")


def name_pages(app): app.project = app.env.project = Pages(app.srcdir, app.config.source_suffix)


def setup(app):
    app.add_builder(Builder, override=True)
    app.add_html_math_renderer("mathml", (math, None), (math, None))
    app.connect("builder-inited", name_pages)
    app.connect("source-read", prepare)
    app.connect("html-page-context", to_xhtml)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
