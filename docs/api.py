"Write the API page: every exported symbol with its signature, a table of its parameters, its source, and where it is used."
import ast
import importlib
import inspect
import re
import sys

from build import BLOB, CFG, NBS, ROOT, local_text, pages, read
from fastcore.docments import docments
from nbdev.doclinks import NbdevLookup
from nbdev.showdoc import show_doc


def code(notebook): return [o.source for o in read(notebook).cells if o.cell_type == "code" and not re.search(r"^\s*[%!]", o.source, re.M)]


def names_used(
    notebook:str, # name of a notebook
)->set: # pairs of a module of ours and a name from it
    "What a notebook uses of other lessons."
    trees = [ast.parse(o) for o in code(notebook)]
    nodes = [o for tree in trees for o in ast.walk(tree)]
    loaded, used = {o.id for o in nodes if isinstance(o, ast.Name)}, set()
    for o in nodes:
        if isinstance(o, ast.ImportFrom) and (o.module or "").startswith(f"{CFG.lib_name}."):
            names = loaded if o.names[0].name == "*" else loaded & {a.asname or a.name for a in o.names}
            used |= {(o.module.split(".")[1], name) for name in names}
    return used


def cell(text): return re.sub(r"\s+", " ", str(text)).replace("|", "\\|")


def type_name(o): return o if isinstance(o, str) else getattr(o, "__name__", str(o)) if isinstance(o, type) and not hasattr(o, "__args__") else str(o).replace("typing.", "")


def parameters(
    symbol, # a function or a class
)->str: # a Markdown table, or nothing
    "Table of a symbol's documented parameters."
    rows = []
    for name, o in docments(symbol, full=True).items():
        if name == "self" or name == "return" and (o.docment is inspect.Parameter.empty or not o.docment): continue
        kind = "" if o.anno is inspect.Parameter.empty or o.anno is None else f"`{cell(type_name(o.anno))}`"
        default = "" if name == "return" or o.default is inspect.Parameter.empty or " at 0x" in repr(o.default) else f"`{cell(getattr(o.default, '__name__', None) or repr(o.default))}`"
        if kind or default or o.docment: rows.append(["**returns**" if name == "return" else f"`{name}`", kind, default, cell(o.docment or "")])
    heads = [("parameter", 0), *((head, i) for i, head in ((1, "type"), (2, "default")) if any(o[i] for o in rows)), (" ", 3)]
    lines = [[head for head, _ in heads], ["---"]*len(heads), *([o[i] for _, i in heads] for o in rows)]
    return "\n".join("| " + " | ".join(o) + " |" for o in lines) if rows else ""


def signature(
    name:str, # qualified name
    symbol,   # a function or a class
)->str: # its call, in a code block
    try: text = str(inspect.signature(symbol))
    except (ValueError, TypeError): text = "(...)"
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", re.sub(r"=\s*<[^>]* at 0x\w+>", "=...", text)).replace("'", '"')
    if len(name+text) > 90: text = re.sub(r"^\(|, (?=\*{0,2}\w+(?::|=|,|\)))", lambda m: m[0].strip()+"\n    ", text)
    return f"```python\n{name}{text}\n```"


def entry(
    module,     # imported module
    name:str,   # name in it, "Class.method" for a method
    line:int,   # line in the source
    users:dict, # notebooks that use a symbol
    level:int,  # of the heading
)->str: # Markdown
    "Documentation of one symbol."
    symbol, short = module, module.__name__.split(".")[1]
    for o in name.split("."): symbol = getattr(symbol, o)
    described = inspect.isfunction(symbol) or inspect.isclass(symbol)
    notebook = next((o for page, o in pages().items() if page == short), None)
    links = [f"[source]({BLOB}/{CFG.lib_path.name}/{short}.py#L{line})"]
    if notebook and described and "." not in name: links.append(f'<a href="{short}.html#{name}">in its lesson</a>' if name.lower() != name or "_" in name else f"[in its lesson]({notebook})")
    if used := users.get((short, name)): links.append("used in " + ", ".join(f"[{title(o)}]({o})" for o in used))
    docs = show_doc(symbol).docs if described and symbol.__doc__ else "" if described else f"A `{type(symbol).__name__}`."
    parts = [f"({module.__name__}.{name})=\n{'#'*level} {name}", signature(name, symbol) if described else "", docs,
             parameters(symbol) if described else "", " · ".join(links)]
    return "\n\n".join(filter(None, parts))


def title(notebook): return re.match(r"#\s+(.+)", read(notebook).cells[0].source)[1].split(":")[0]


def api_page(
    old, # path of the page that was written before
)->bytes: # Markdown
    "The page; the old one, if no module and no notebook has changed since."
    sources = [*CFG.lib_path.glob("*.py"), *NBS.glob("*.ipynb")]
    if old.exists() and all(o.stat().st_mtime < old.stat().st_mtime for o in sources): return old.read_bytes()
    users = {}
    for notebook in pages().values():
        for key in names_used(notebook): users.setdefault(key, []).append(notebook)
    sys.path.insert(0, str(ROOT))
    lookup, parts = NbdevLookup(), ["# API reference\n\n> Every name the lessons export, one module for each notebook."]
    for page, notebook in pages().items():
        if page.endswith("_checks") or not (CFG.lib_path/f"{page}.py").exists(): continue
        module = importlib.import_module(f"{CFG.lib_name}.{page}")
        parts.append(f"## {module.__name__}\n\nFrom [{title(notebook)}]({notebook}).")
        for node in ast.parse(inspect.getsource(module)).body:
            for name in [node.name] if hasattr(node, "name") else [o.id for o in getattr(node, "targets", []) if isinstance(o, ast.Name)]:
                if name not in module.__all__: continue
                parts.append(entry(module, name, node.lineno, users, 3))
                for o in node.body if isinstance(node, ast.ClassDef) else ():
                    if isinstance(o, ast.FunctionDef) and not o.name.startswith("_"): parts.append(entry(module, f"{name}.{o.name}", o.lineno, users, 4))
    return local_text(lookup.linkify("\n\n".join(parts)), NBS).encode() + b"\n"


if __name__ == "__main__": print(api_page(ROOT/"none").decode())
