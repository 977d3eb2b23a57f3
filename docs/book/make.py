"""Make the book in _book: an EPUB by Sphinx and, where a browser can print it, the same pages as a tagged PDF."""
import io
import re
import shutil
import sys
from html import escape
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
from bs4 import BeautifulSoup
from sphinx.cmd.build import main as sphinx

from course_dl.core import _write_whole
from docs.book.conf import epub_basename as NAME
from docs.browser import chromium
from docs.lesson import ROOT, SETTINGS

BUILD, OUT = ROOT/"build"/"book", ROOT/"_book"
HERE = Path(__file__).parent
FONTS = Path(matplotlib.get_data_path())/"fonts"/"ttf"  # the same on every machine
FACES = [("Book", "STIXGeneral", "normal", "normal"), ("Book", "STIXGeneralBol", "bold", "normal"),
         ("Book", "STIXGeneralItalic", "normal", "italic"), ("Book", "STIXGeneralBolIta", "bold", "italic"),
         ("Code", "DejaVuSansMono", "normal", "normal"), ("Code", "DejaVuSansMono-Bold", "bold", "normal"),
         ("Code", "DejaVuSansMono-Oblique", "normal", "italic")]


def missing():
    "What a PDF needs and this machine lacks."
    tools = [f"{name} (.venv/bin/pip install {name})" for name in ("playwright", "pikepdf") if not find_spec(name)]
    return tools + ["Chromium (on Debian, apt-get install chromium-headless-shell)"]*(not chromium())


def spine(epub):
    "The pages of an unpacked EPUB in their order, without its cover."
    opf = ElementTree.parse(epub/"content.opf")
    paths = {item.get("id"): item.get("href") for item in opf.iterfind(".//{*}item")}
    return [paths[ref.get("idref")] for ref in opf.iterfind(".//{*}itemref") if "cover" not in paths[ref.get("idref")]]


def chapter(epub, path):
    "A page as a part of one long page: its ids get the name of the page, its links lead there."
    soup = BeautifulSoup((epub/path).read_text(encoding="utf-8"), "html.parser").select_one("div.body")
    name = Path(path).stem
    soup.name, soup["class"], soup["id"] = "div", ["chapter"], name
    del soup["role"]
    for tag in soup.select("[id]"): tag["id"] = f"{name}-{tag['id']}"
    for tag in soup.select("img"): tag["src"] = f"epub/{tag['src']}"
    for tag in soup.select("pre"):
        if len(tag.text.splitlines()) <= 20: tag["class"] = ["short"]
    for a in soup.select("a[href]"):
        page, _, anchor = a["href"].partition("#")
        if re.match(r"\w+:", page): continue
        page = Path(page).stem or name
        a["href"] = f"#{page}-{anchor or page}"
        if page == "solutions" != name: a.append(BeautifulSoup(", page <b>000</b>", "html.parser"))
    return soup


def contents(chapters):
    "The table of contents; the numbers of pages come later."
    def entry(heading): return f'<a href="#{heading.parent["id"]}"><span>{escape(heading.text)}</span><b>000</b></a>'
    for part in chapters:
        sections = part.select("section > section > h2") if part["id"] != "glossary" else []
        inner = "".join(f"<li>{entry(heading)}</li>" for heading in sections)
        yield f"<li>{entry(part.select_one('h1'))}<ol>{inner}</ol></li>"


def print_page(epub):
    "The whole book as one page to print."
    preface, *chapters = [chapter(epub, path) for path in spine(epub)]
    title, promise = preface.h1.extract(), preface.blockquote.extract()
    faces = "".join(f'@font-face {{ font-family: {name}; src: url("{(FONTS/file).as_uri()}.ttf"); '
                    f'font-weight: {weight}; font-style: {style} }}' for name, file, weight, style in FACES)
    paths = ["epub/_static/pygments.css", "epub/_static/book.css", (HERE/"print.css").as_uri()]
    sheets = "".join(f'<link rel="stylesheet" href="{path}">' for path in paths)
    picture = ('<img alt="The average 3, the average 7, the weights of a linear model, and its rising accuracy." '
               f'src="{(ROOT/"nbs"/"images"/"cover.png").as_uri()}">')
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title.text}</title>'
            f'<style>{faces}</style>{sheets}</head><body><div class="title">{picture}{title}{promise.p}</div>'
            f'<nav class="contents chapter"><p class="h1">Contents</p><ol>{"".join(contents(chapters))}</ol></nav>'
            f'{preface}{"".join(map(str, chapters))}</body></html>')


def outlined(data, headings):
    "A PDF with the titles of its outline as they are written, for Chromium doubles some, and each heading's page."
    import pikepdf
    def flat(items): return [o for item in items for o in (item, *flat(item.children))]
    with pikepdf.open(io.BytesIO(data)) as pdf:
        numbers = {page.objgen: i for i, page in enumerate(pdf.pages, 1)}
        with pdf.open_outline() as outline:
            items = flat(outline.root)
            for item, (_, title) in zip(items, headings, strict=True): item.title = title
            pages = {name: numbers[item.destination[0].objgen] for item, (name, _) in zip(items, headings)}
        pdf.docinfo["/Author"] = SETTINGS["author"]
        pdf.save(tidied := io.BytesIO(), object_stream_mode=pikepdf.ObjectStreamMode.generate)
    return tidied.getvalue(), pages


def make_pdf(epub):
    "Print twice: contents and links to solutions learn from the first time on which page everything is."
    from playwright.sync_api import sync_playwright
    (page := epub.parent/"print.html").write_text(print_page(epub), encoding="utf-8")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.goto(page.as_uri(), timeout=120_000)
        headings = tab.eval_on_selector_all(
            "h1, h2, h3, h4, h5, h6", "all => all.map(o => [o.closest('[id]')?.id ?? '', o.textContent.trim()])")
        def printed(): return tab.pdf(tagged=True, outline=True, prefer_css_page_size=True, print_background=True)
        _, pages = outlined(printed(), headings)
        tab.reload(timeout=120_000)  # printed a second time as it is, Chromium breaks some pages elsewhere
        listed = tab.evaluate("""pages => [...document.querySelectorAll("a > b:last-child")].map(number => {
            const name = number.parentElement.hash.slice(1);
            number.textContent = pages[name];
            return name;
        })""", pages)
        data, now = outlined(printed(), headings)
        browser.close()
    if moved := [name for name in listed if now[name] != pages[name]]:
        raise RuntimeError(f"the numbers of these pages are wrong: {moved}")
    return data


def main(out=OUT, build=BUILD):
    shutil.rmtree(build, ignore_errors=True)
    epub = build/"epub"
    failed = sphinx(["-q", "-W", "--keep-going", "-j", "auto", "-b", "epub", "-c", "docs/book", "-d",
                     str(build/"doctrees"), str(ROOT), str(epub)])
    if failed: sys.exit(failed)
    out.mkdir(exist_ok=True)
    _write_whole(out/f"{NAME}.epub", (epub/f"{NAME}.epub").read_bytes())
    print(f"The book is at {out/NAME}.epub")
    if lacks := missing(): return print(f"No PDF, for it needs {' and '.join(lacks)}.")
    _write_whole(out/f"{NAME}.pdf", make_pdf(epub))
    print(f"and at {out/NAME}.pdf")


if __name__ == "__main__": main(*map(Path, sys.argv[1:]))
