"""Number the lessons in the order of _quarto.yml, and mend every link to them: `make renumber`.

To insert, split or move a lesson, give its notebook any number, put it in its place in _quarto.yml, and run this."""
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
FIRST = 2  # 00 and 01 stand behind the scenes
LAST = 19  # from 20 on, reference
MENTION = ("*.md", "*.toml", "_quarto.yml", "Makefile", "nbs/**/*.ipynb", "nbs/*.json", "benchmarks/*", "docs/**/*",
           "course_dl/locale/**/*.po", "tests/*.py", "tools/*.py", ".github/**/*.yml", ".github/**/*.md")
TEXT = ("", ".css", ".html", ".ipynb", ".js", ".json", ".md", ".po", ".py", ".toml", ".yml")


def lessons(site:Path) -> list[str]:
    "Notebooks in the section Lessons of the site's sidebar."
    parts = yaml.safe_load(site.read_text(encoding="utf-8"))["website"]["sidebar"]["contents"]
    found = [part["contents"] for part in parts if isinstance(part, dict) and part.get("section") == "Lessons"]
    if len(found) != 1: raise ValueError(f"{site} must have one section Lessons, got {len(found)}")
    return found[0]


def new_names(folder:Path) -> dict[str, str]:
    "The present stem of each lesson, and the one that its place in the sidebar asks for."
    order = lessons(folder/"_quarto.yml")
    if missing := [name for name in order if not (folder/"nbs"/name).exists()]:
        raise FileNotFoundError(f"_quarto.yml lists {', '.join(missing)}, but nbs/ has no such notebook")
    if len(order) > LAST-FIRST+1: raise ValueError(f"{len(order)} lessons do not fit between {FIRST:02} and {LAST}")
    stems = [Path(name).stem for name in order]
    return {stem: f"{number:02}_{re.sub(r'^[0-9]+_', '', stem)}" for number, stem in enumerate(stems, FIRST)}


def renumber(folder:Path) -> dict[str, str]:
    "Rename the notebooks and whatever mentions them; returns old and new stem of each that got another number."
    changed = {old: new for old, new in new_names(folder).items() if old != new}
    if taken := [new for new in changed.values() if (folder/"nbs"/f"{new}.ipynb").exists()]:
        raise FileExistsError(f"nbs/{taken[0]}.ipynb exists already")
    if not changed: return {}
    mentioned = re.compile(rf"\b({'|'.join(changed)})\b")
    for path in {path for pattern in MENTION for path in folder.glob(pattern)}:
        if path.is_symlink() or not path.is_file() or path.suffix not in TEXT: continue
        text = path.read_bytes().decode("utf-8")
        path.write_bytes(mentioned.sub(lambda found: changed[found[1]], text).encode("utf-8"))
    for old, new in changed.items(): (folder/"nbs"/f"{old}.ipynb").rename(folder/"nbs"/f"{new}.ipynb")
    return changed


if __name__ == "__main__":
    for old, new in renumber(ROOT).items(): print(f"{old} is now {new}")
