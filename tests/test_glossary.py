"The glossary and the lessons: every term is defined, shown and taught, and every link between them leads somewhere."
import re
from functools import cache

import pytest

from helpers import LESSONS, NOTEBOOKS, ROOT, anchor, markdown, module_name, read

GLOSSARY, = (ROOT/"nbs").glob("*_glossary.ipynb")
# How lessons say it, where they do not use the term itself.
VARIANTS = {
    "ablation": ["one thing at a time"],
    "activation": ["input and output", "send one garment through"],
    "activation function": ["bend"],
    "calibration": ["right how often"],
    "chance level": ["at chance"],
    "checkpoint": ["best weights", "load_weights"],
    "dataset": ["data set"],
    "early stopping": ["stop early"],
    "feature map": ["maps"],
    "frozen layer": ["frozen"],
    "generalization": ["by heart"],
    "gradient accumulation": ["accumul"],
    "gradient clipping": ["clip", "shorten"],
    "hyperparameter": ["rate"],
    "in-place method": ["in place"],
    "iterable-style dataset": ["iterable-style data set"],
    "jagged array": ["different sizes"],
    "leaf tensor": ["leaf"],
    "map-style dataset": ["map-style data set"],
    "multilayer perceptron": ["hidden layer"],
    "Nesterov momentum": ["nesterov"],
    "neural network": ["network"],
    "nonlinearity": ["bend"],
    "numerical gradient": ["nudge"],
    "overfitting": ["learns them by heart"],
    "padding": ["padded"],
    "regularization": ["decay", "dropout"],
    "root mean squared difference": ["root mean squared error"],
    "standardization": ["standardize"],
    "state dict": ["state_dict"],
    "stochastic gradient descent": ["stochastic", "random batches"],
    "test set": ["test images"],
    "test-time augmentation": ["both views"],
    "training loop": ["train_epoch"],
    "training set": ["train the model", "training part"],
    "validation set": ["validate"],
    "vanishing gradient": ["comes back"],
}


def entries():
    "What each term has: its text and the sources of its code cells."
    found = {}
    for c in read(GLOSSARY).cells:
        if c.cell_type == "markdown" and (heading := re.match(r"## (.+)\n", c.source)):
            texts, codes = found.setdefault(heading[1], ([], []))
        if found: (texts if c.cell_type == "markdown" else codes).append(c.source)
    return found


@cache
def sections(path):
    "The source of each section of a notebook, from its heading to the next and without emphasis, by anchor."
    found, here = {}, ""
    for c in read(path).cells:
        for line in c.source.splitlines():
            if c.cell_type == "markdown" and (heading := re.match(r"#{1,6} (.+)", line)): here = anchor(heading[1])
            found[here] = found.get(here, "") + line.replace("*", "") + "\n"
    return found


ENTRIES = entries()


@pytest.mark.parametrize("term", ENTRIES)
def test_term_is_shown_by_code_and_taught_where_it_says(term):
    texts, codes = ENTRIES[term]
    assert codes and all(code.strip() for code in codes), f"{term}: no code"
    assert any(re.search(r"\b(assert|test_\w+\()", code) for code in codes), f"{term}: nothing asserted"
    used = re.findall(r"\]\((\d\d_\w+\.ipynb)#([^)]+)\)", "\n".join(texts).partition("Used in:")[2])
    assert used, f"{term}: no lesson"
    for name, place in used:
        text = sections(ROOT/"nbs"/name).get(place)
        assert text is not None, f"{term}: {name} has no heading #{place}"
        said = [term.lower(), *VARIANTS.get(term, [])]
        assert any(words in text.lower() for words in said), f"{term}: {name}#{place} does not mention it"


def test_terms_are_sorted_and_their_anchors_differ():
    assert list(ENTRIES) == sorted(ENTRIES, key=str.lower)
    assert len(set(map(anchor, ENTRIES))) == len(ENTRIES)


def test_index_lists_each_term_once_in_groups_that_are_sorted():
    index, = [c.source for c in read(GLOSSARY).cells if c.source.startswith("**Index**")]
    groups, _, others = index.partition("**Other names:**")
    found = [re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", line) for line in groups.splitlines() if line]
    assert all(group == sorted(group, key=lambda link: link[0].lower()) for group in found)
    listed = sorted(sum(found, []), key=lambda link: link[0].lower())
    assert listed == [(term, anchor(term)) for term in ENTRIES]
    names = re.findall(r"([\w -]+) → \[", others)
    assert names == sorted(names, key=str.lower) and not set(map(str.strip, names)) & set(ENTRIES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_into_the_glossary_point_at_its_terms(path):
    page = "" if path == GLOSSARY else re.escape(GLOSSARY.name)
    linked = re.findall(r"\[[^\]]+\]\(" + page + r"#([^)\s]+)\)", markdown(path))
    assert set(linked) <= set(map(anchor, ENTRIES))


@pytest.mark.parametrize("path", LESSONS, ids=module_name)
def test_lesson_links_to_the_glossary(path):
    linked = set(re.findall(r"\]\(" + re.escape(GLOSSARY.name) + r"#([^)\s]+)\)", markdown(path)))
    assert len(linked) >= 3, f"link at least three terms to {GLOSSARY.name}"


def test_every_lesson_is_linked_from_the_glossary():
    text = markdown(GLOSSARY)
    missing = [path.name for path in LESSONS if f"]({path.name}#" not in text]
    assert not missing, "an entry of the glossary says that it is used there, and links to the heading"


def test_entries_are_short_and_no_term_links_to_itself():
    for term, (texts, codes) in ENTRIES.items():
        definition = texts[0].partition("\n")[2].partition("Used in:")[0].strip()
        assert 5 <= len(definition.split()) <= 60, term
        assert anchor(term) not in re.findall(r"\]\(#([^)]+)\)", definition), f"{term} links to itself"
        assert sum(len(code.splitlines()) for code in codes) <= 10, term
