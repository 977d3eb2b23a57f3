"Slides: made from the cells of three lessons, and opened at the size of a projector."
import re

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_dl.runner import page_name
from docs.slides import make
from helpers import ROOT, watch

FIT = """() => {
    const slide = document.querySelector("section.present .slide"), box = slide.getBoundingClientRect(), found = [];
    for (const o of slide.querySelectorAll("*")) {
        const r = o.getBoundingClientRect();
        const words = [...o.childNodes].some(c => c.nodeType == 3 && c.textContent.trim());
        if (r.bottom > box.bottom-36 || r.right > box.right-8) found.push(["over the edge", o.outerHTML.slice(0, 80)]);
        if (words && !o.closest("math") && parseFloat(getComputedStyle(o).fontSize) < 24)
            found.push(["small", o.outerHTML.slice(0, 80)]);
        if (o.tagName == "IMG" && (r.height < 250 && r.width < 600)) found.push(["small", o.alt]);
    }
    return found;
}"""


@pytest.fixture(scope="session")
def decks(tmp_path_factory):
    make.OUT = tmp_path_factory.mktemp("slides")
    make.main([])
    return make.OUT


@pytest.fixture
def projector(browser):
    with browser.new_context(viewport={"width": 1280, "height": 720}) as context: yield context.new_page()


def cell(source, kind="", **more):
    return new_markdown_cell(source, metadata={"slideshow": {"slide_type": kind, **more}} if kind else {})


def test_a_slide_holds_a_heading_the_first_sentence_and_what_is_no_sentence():
    text = "## Why?\n\nIt is *short*. Here it is not.\n\n- one\n- two\n\n$$a$$\n\nMore.\n\n<details>folded</details>"
    (title, (shown,), (spoken,)), = make.slides(new_notebook(cells=[cell(text, "slide")]))
    assert title == "Why?" and "It is <em>short</em>." in shown and shown.count("<li>") == 2 and "<math" in shown
    assert not {"not.", "More.", "folded"} & set(re.findall(r"[\w.]+", shown)) and "Here it is not." in spoken


def test_what_a_cell_is_says_its_slide_type():
    code = [new_code_cell(f"x = {i}", metadata={"slideshow": {"slide_type": kind}} if kind else {})
            for i, kind in enumerate(["", "subslide", "fragment", "skip"])]
    cells = [cell("before"), cell("# A\n\nOne.", "slide"), cell("[link](page.ipynb) said"), *code,
             cell("## B\n\nLong.", "slide", text="in short")]
    first, second, third = make.slides(new_notebook(cells=cells))
    assert [slide[0] for slide in (first, second, third)] == ["A", "A", "B"]
    assert "said" in "".join(first[2]) and "href" not in "".join(first[2]) and "said" not in "".join(first[1])
    numbers = [int(n) for n in re.findall(r"\d+", BeautifulSoup("".join(second[1]), "html.parser").text)]
    assert numbers == [1, 2] and "fragment" in second[1][-1]
    assert "in short" in third[1][0] and "Long." in third[2][0] and "Long." not in third[1][0]


def test_too_much_code_is_refused():
    long = new_code_cell("x\n"*9, metadata={"slideshow": {"slide_type": "slide"}})
    nb = new_notebook(cells=[cell("# A", "slide"), long])
    with pytest.raises(ValueError, match="a slide holds 8 lines"): make.slides(nb)


def test_three_lessons_have_an_hour_of_slides_with_notes(decks):
    assert {path.stem for path in decks.glob("*.html")} == {page_name(path) for path in make.with_slides()}
    assert {"sgd", "perceptron", "convolution"} <= {path.stem for path in decks.glob("*.html")}
    for path in decks.glob("*.html"):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        sections = soup.select("section")
        assert 25 <= len(sections) <= 35 and all(section.select_one("h1, h2").text for section in sections), path.stem
        assert sum(len(section.select_one("aside").text.split()) > 15 for section in sections) > len(sections)//2
        assert not [img for img in soup.select("img") if " " not in img["alt"]]
        said = [section.select_one(".body") for section in sections]
        code = [pre.text.strip().splitlines() for body in said for pre in body.select("pre:not(.out)")]
        assert all(len(lines) <= 8 for lines in code), path.stem
        assert all(len(" ".join(p.text for p in body.select("p")).split()) <= 60 for body in said), path.stem


@pytest.mark.slow
@pytest.mark.parametrize("name", [page_name(path) for path in make.with_slides()])
def test_no_slide_overflows_or_asks_another_host(projector, decks, name):
    seen = watch(projector, "file:")
    projector.goto((decks/f"{name}.html").as_uri())
    projector.wait_for_function("Reveal.isReady()")
    assert projector.evaluate("Reveal.getTotalSlides()") >= 25
    for i in range(projector.evaluate("Reveal.getTotalSlides()")):
        projector.evaluate("i => Reveal.slide(i, 0, 99)", i)
        projector.evaluate("() => document.querySelectorAll('.fragment').forEach(o => o.classList.add('visible'))")
        assert not projector.evaluate(FIT), f"{name}, slide {i+1}"
    assert not seen


@pytest.mark.slow
def test_a_slide_that_overflows_is_noticed(projector, decks):
    projector.goto((decks/"sgd.html").as_uri())
    projector.wait_for_function("Reveal.isReady()")
    assert not projector.evaluate(FIT)
    projector.evaluate("""() => { document.querySelector('section.present .body').innerHTML =
        '<p style="font-size: 20px">fine print</p>' + '<p>one line more</p>'.repeat(20) }""")
    assert {what for what, _ in projector.evaluate(FIT)} == {"over the edge", "small"}


def test_the_licence_of_what_travels_along_is_told():
    assert "docs/slides/reveal" in (ROOT/"NOTICE").read_text(encoding="utf-8")
    assert sum(path.stat().st_size for path in (ROOT/"docs/slides/reveal").iterdir()) < 300_000
