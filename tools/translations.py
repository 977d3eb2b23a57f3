"""Bring the catalogs of other languages up to date, and list what waits for a translator.

A new sentence is added. A changed one keeps its old translation beside it, marked fuzzy, until somebody has looked at
it. What has no translation, or a fuzzy one, the course says in English."""
import json
import re
from io import BytesIO

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from markdown_it import MarkdownIt

from course_dl.core import _write_whole
from course_dl.figures import figures_file
from course_dl.runner import folded, page_name, split_directives
from course_dl.student import known_exercises
from docs.conf import PATHS, ROOT, html_context
from docs.lesson import SUMMARY, TOLD

LANGUAGES = html_context["languages"]
MARKDOWN = MarkdownIt("commonmark").enable("table")
WORDLESS = re.compile(r"`[^`]*`|\$+[^$]*\$+|<[^>]*>|\]\([^)]*\)")  # code, formulas, tags, where links lead


def catalog_file(language): return ROOT/f"course_dl/locale/{language}/LC_MESSAGES/course_dl.po"


def of_notebook(nb):
    "What a notebook says: its prose, and the texts of its pictures."
    said = []
    for cell in nb.cells:
        if "hide" in cell.metadata.get("tags", []): continue
        if cell.cell_type == "markdown":
            said += SUMMARY.findall(cell.source)
            said += [token.content for token in MARKDOWN.parse(cell.source) if token.type == "inline"]
        elif text := split_directives(cell.source)[0].get("fig-alt"): said.append(text)
    return [text for text in said if re.search(r"[^\W\d_]", WORDLESS.sub("", text))]


def of_code(path, method="python", **keywords):
    "What stands between the brackets of some functions."
    with open(ROOT/path, "rb") as file: return [text for _, text, *_ in extract(method, file, keywords)]


def sentences(language):
    "Where each sentence stands that a language needs a translation of."
    import nbformat
    found = {}
    def add(place, texts):
        for text in texts: found.setdefault(text, []).append((place, None))
    for path in PATHS:
        if path.endswith(".ipynb") and (page := page_name(ROOT/path)) in LANGUAGES[language]["pages"]:
            add(page, of_notebook(nbformat.read(ROOT/path, as_version=4)))
            if not (ROOT/f"course_dl/checks/{page}.py").exists(): continue
            for exercise in known_exercises(page).values():
                add(f"checks/{page}", [*exercise.hints, *(text for text, _ in exercise.mistakes if text)])
            add(f"checks/{page}", of_code(f"course_dl/checks/{page}.py", say=None, Wrong=None))
    add("exercises", of_code("course_dl/exercises.py", say=None, Wrong=None, _Names=(2,)))
    add("figures", map(json.loads, TOLD.findall(figures_file.read_text(encoding="utf-8"))))
    add("site", folded.values())
    for path in ("docs/conf.py", "docs/lesson.py"): add("site", of_code(path, say=None))
    for path in sorted(ROOT.glob("docs/_templates/*.html")): add("site", of_code(path, "jinja2", _=None))
    return found


def read_catalog(language):
    path = catalog_file(language)
    if not path.exists(): return Catalog(locale=language, project="course_dl", fuzzy=False)
    with open(path, "rb") as file: return read_po(file, locale=language)


def updated(catalog, found):
    "The catalog with these sentences, and what waits: new ones, and ones whose English has changed."
    template = Catalog()
    for text, places in found.items(): template.add(text, locations=sorted(set(places)))
    catalog.update(template, update_creation_date=False)
    catalog.obsolete.clear()
    for message in catalog: message.user_comments.clear()  # Babel reads an older sentence, kept for reference, as one
    waits = [message for message in catalog if message.id and (message.fuzzy or not message.string)]
    return [message.id for message in waits if not message.string], [message.id for message in waits if message.string]


def compiled(catalog):
    "What Python's gettext reads."
    write_mo(file := BytesIO(), catalog)
    return file.getvalue()


def main():
    for language in LANGUAGES:
        catalog, path = read_catalog(language), catalog_file(language)
        missing, stale = updated(catalog, sentences(language))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_po(file := BytesIO(), catalog, width=0, include_previous=True)
        _write_whole(path, file.getvalue())
        _write_whole(path.with_suffix(".mo"), compiled(catalog))
        for kind, texts in ("missing", missing), ("stale", stale):
            for text in texts: print(f"{kind}: {text}")
        print(f"{language}: {len(catalog)} sentences, {len(missing)} missing, {len(stale)} stale")


if __name__ == "__main__": main()
