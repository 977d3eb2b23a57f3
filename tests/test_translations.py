"Other languages: nothing waits for a translator, nothing is lost on the way, and code is the same in all of them."
import ast
import re
import shutil
from collections import Counter

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_dl.checks import sgd
from course_dl.core import catalog
from helpers import ROOT, build_site, copy_project, module_name, run_python
from translations import LANGUAGES, catalog_file, compiled, of_notebook, read_catalog, sentences, updated

PAGES = [(language, page) for language in LANGUAGES for page in LANGUAGES[language]["pages"]]
NOTEBOOKS = {module_name(path): path for path in (ROOT/"nbs").glob("*.ipynb")}
DIGITS = {"de": {r"\bDreien\b": "3", r"\bSiebenen\b": "7", r"(?<=\d),(?=\d)": "."}}  # numbers as they stand there
THOUSANDS = r"(?<=\d)[,\u202f](?=\d{3}(?!\d))"
KEPT = {"field": r"\{[^}`]*\}", "code": r"`[^`]*`", "formula": r"\$+[^$]*\$+", "link": r"\]\([^)]*\)",
        "tag": r"<[^>]*>"}


@pytest.fixture(params=LANGUAGES)
def language(request): return request.param


@pytest.fixture(scope="module")
def found(): return {language: sentences(language) for language in LANGUAGES}


def test_what_a_translator_is_asked_has_words_and_no_markup_around_them():
    wordless = "```\na = 1\n```\n$$a$$ `b` <br>\n\n| `a` | 3 |\n|---|---:|\n\n</details>"
    text = "## A model\n\n> here\n\n- Its `loss`.\n\n<details><summary>more</summary>\n\n| 3 | seven |\n|---|---|"
    nb = new_notebook(cells=[new_markdown_cell(wordless), new_markdown_cell(text), new_code_cell("#| fig-alt: a line")])
    assert of_notebook(nb) == ["more", "A model", "here", "Its `loss`.", "seven", "a line"]


def kept(text, digits):
    "What a translation leaves as it is: fields, code, formulas, links, tags and numbers."
    there = Counter()
    for kind, pattern in KEPT.items():
        there.update((kind, part) for part in re.findall(pattern, text))
        text = re.sub(pattern, " ", text)
    for theirs, ours in digits.items(): text = re.sub(theirs, ours, text)
    there.update(("number", o) for o in re.findall(r"\d+(?:\.\d+)*", re.sub(THOUSANDS, "", text)))
    return there


def test_each_language_has_its_catalog_and_the_compiled_one_says_the_same(language):
    assert {path.name for path in (ROOT/"course_dl/locale").iterdir()} == set(LANGUAGES)
    file = catalog_file(language)
    assert file.with_suffix(".mo").read_bytes() == compiled(read_catalog(language)), "make translations"
    assert (file.parent.parent/"NOTES.md").exists()


def test_hardly_a_sentence_waits_for_a_translator(language, found):
    "Those that do are shown in English; `make translations` lists them."
    missing, stale = updated(read_catalog(language), found[language])
    assert len(missing) + len(stale) <= len(found[language])/10, [*missing, *stale]


def test_a_sentence_that_changes_waits_and_is_shown_in_english(language, found):
    old = "A falling loss proves little: compare it with the best possible."
    new = old.replace("little", "nothing")
    assert catalog(language).gettext(old) != old
    before = updated(read_catalog(language), found[language])
    changed = {new if text == old else text: places for text, places in found[language].items()}
    missing, stale = updated(fresh := read_catalog(language), changed)
    assert (missing, stale) == (before[0], [*before[1], new])
    assert fresh.get(new).fuzzy and fresh.get(new).previous_id == [old]
    assert new.encode() not in compiled(fresh) and compiled(fresh) != compiled(read_catalog(language))


def test_a_translation_keeps_fields_code_formulas_links_and_numbers(language):
    messages = [message for message in read_catalog(language) if message.id and message.string and not message.fuzzy]
    digits = DIGITS.get(language, {})
    odd = [message.id for message in messages if kept(message.id, {}) != kept(message.string, digits)]
    assert len(messages) > 400 and not odd, odd
    assert not [o.string for o in messages if re.match(r"(\d+\.|[-*#>]) ", o.string)]  # on a page, Markdown of its own


@pytest.mark.parametrize("wrong", ["Der Verlust ist 0.12.", "Der Verlust ist 0.21 nach 12␣396 Schritten.", "`a` {}",
                                   "Der [Verlust](a) ist 0.21.", "Der Verlust ist $0.21$.", "Der Verlust ist 0, 21."])
def test_what_is_lost_in_a_translation_is_found(wrong):
    assert kept("The loss is 0.21.", {}) != kept(wrong.replace("␣", "\u202f"), DIGITS["de"])
    assert kept("12,396 of the 3s: 0.5.", {}) == kept("12\u202f396 Dreien: 0,5.", DIGITS["de"])


def test_every_sentence_of_a_check_can_be_translated(found):
    "None is put together in a way that no catalog knows."
    for path in ["exercises", *(f"checks/{page}" for _, page in PAGES if (ROOT/f"nbs/checks/{page}.ipynb").exists())]:
        code = ast.parse((ROOT/f"course_dl/{path}.py").read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(code) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        said = [call.args[0] for call in calls if call.func.id in ("say", "Wrong")]
        texts = {node.value for node in said if isinstance(node, ast.Constant)}
        assert texts and all(texts <= set(there) for there in found.values()), path
        assert not any(isinstance(node, ast.JoinedStr) for node in said), path


def test_a_check_answers_in_the_language_that_is_asked_for(monkeypatch):
    monkeypatch.setenv("COURSE_DL_LANGUAGE", "de")
    def summed(t, params): return params[0]*t**3 + params[1]*t**2 + params[2] + params[3]
    assert repr(sgd.check.cubic(summed)).startswith("✗ cubic: noch nicht. Dem dritten Term fehlt sein `t`,")
    assert repr(sgd.check.cubic(...)).startswith("○ cubic: nicht begonnen.\nSchreib deine Antwort")
    assert sgd.hint.cubic() == "Tipp 1 von 2: Jetzt sind es vier Parameter: `a, b, c, d = params`."
    for exercise in sgd.exercises.all.values():  # two mistakes are told apart in German, too
        told = [catalog("de").gettext(message) for message, _ in exercise.mistakes if message]
        assert len(set(told)) == len(told)
    said = "from course_dl.core import say; print(say('right.'))"
    assert [run_python(said, COURSE_DL_LANGUAGE=o) for o in ("", "en", "de")] == ["right.", "right.", "richtig."]


def test_the_page_says_in_english_what_has_changed(tmp_path):
    "A sentence and a heading that were translated, and are other ones now."
    root = copy_project(tmp_path/"changed")
    for name in ("docs", "benchmarks"):
        shutil.copytree(ROOT/name, root/name, ignore=shutil.ignore_patterns("__pycache__"))
    nb = nbformat.read(path := root/"nbs"/NOTEBOOKS["sgd"].name, as_version=4)
    for cell in nb.cells:
        cell.source = cell.source.replace("loss proves little", "loss proves nothing")
        cell.source = cell.source.replace("## Summary", "## In short")
    nbformat.write(nb, path)
    build_site(tmp_path/"de", "de", root)
    page = BeautifulSoup((tmp_path/"de/sgd.html").read_text(encoding="utf-8"), "html.parser")
    assert page.html["lang"] == "de" and "Autograd berechnet ihn" in page.text
    assert "2,5" in [number.text for number in page.select("math mn")]
    told, = page.select("article p[lang=en]:not(:has(code))")
    assert told.text == "A falling loss proves nothing: compare it with the best possible."
    assert page.select_one("#in-short > h2").text.startswith("In short")
