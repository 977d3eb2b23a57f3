"Write the API page: every exported symbol with its signature, its parameters, its source, and where it is used."
import ast
import importlib
import inspect
import re
import sys

from build import BLOB, CFG, NBS, ROOT, local_text, pages, read
from fastcore.docments import docments
from nbdev.doclinks import NbdevLookup
from nbdev.showdoc import show_doc


def title(notebook): return re.match(r"#\s+(.+)", read(notebook).cells[0].source)[1].split(":")[0]


def names_used(
    notebook:str, # name of a notebook
)->set: # pairs of a module of ours and a name from it
    "What a notebook uses of other lessons."
    cells = [o.source for o in read(notebook).cells if o.cell_type == "code" and not re.search(r"^\s*[%!]", o.source, re.M)]
    nodes = [o for cell in cells for o in ast.walk(ast.parse(cell))]
    loaded, used = {o.id for o in nodes if isinstance(o, ast.Name)}, set()
    for o in nodes:
        if isinstance(o, ast.ImportFrom) and (o.module or "").startswith(f"{CFG.lib_name}."):
            names = loaded if o.names[0].name == "*" else loaded & {a.asname or a.name for a in o.names}
            used |= {(o.module.split(".")[1], name) for name in names}
    return used


def signature(
    name:str, # qualified name
    symbol,   # a function or a class
)->str: # its call, in a code block
    try: text = str(inspect.signature(symbol))
    except ValueError: text = "(...)"
    text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Za-z])", "", re.sub(r"=\s*<[^>]* at 0x\w+>", "=...", text)).replace("'", '"')
    if len(name+text) > 90: text = re.sub(r"^\(|, (?=\*{0,2}\w+(?::|=|,|\)))", lambda m: m[0].strip()+"\n    ", text)
    return f"```python\n{name}{text}\n```"


def parameters(
    symbol, # a function or a class
)->str: # a Markdown table, or nothing
    "What the parameters mean and what is returned; types and defaults stand in the signature."
    def cell(text): return re.sub(r"(`[^`]*`)|\*", lambda m: m[1] or r"\*", re.sub(r"\s+", " ", text)).replace("|", r"\|")
    rows = [f"| {'**returns**' if name == 'return' else f'<code>{name}</code>'} | {cell(o.docment)} |"
            for name, o in docments(symbol, full=True).items() if isinstance(o.docment, str)]
    return "\n".join(["| parameter | meaning |", "|---|---|", *rows]) if rows else ""


def entry(
    module,     # imported module
    name:str,   # name in it, "Class.method" for a method
    line:int,   # line in the source
    users:dict, # notebooks that use a symbol
)->str: # Markdown
    "Documentation of one symbol."
    symbol, short = module, module.__name__.split(".")[1]
    for o in name.split("."): symbol = getattr(symbol, o)
    links = [f"[source]({BLOB}/{CFG.lib_path.name}/{short}.py#L{line})"]
    parts = [f"({module.__name__}.{name})=\n{'####' if '.' in name else '###'} {name}"]
    if not (inspect.isfunction(symbol) or inspect.isclass(symbol)): parts.append(f"A `{type(symbol).__name__}`.")
    else:
        parts += [signature(name, symbol), show_doc(symbol).docs if symbol.__doc__ else "", parameters(symbol)]
        if "." not in name: links.append(f'<a href="{short}.html#{name}">in its lesson</a>' if name.lower() != name or "_" in name else f"[in its lesson]({pages()[short]})")
    if used := users.get((short, name)): links.append("used in " + ", ".join(f"[{title(o)}]({o})" for o in used))
    return "\n\n".join(filter(None, [*parts, " · ".join(links)]))


def api_page(): # Markdown
    "The page, one section for each module."
    users = {}
    for notebook in pages().values():
        for key in names_used(notebook): users.setdefault(key, []).append(notebook)
    sys.path.insert(0, str(ROOT))
    parts = ["# API reference\n\n> Every name the lessons export, one module for each notebook."]
    for page, notebook in pages().items():
        if page.endswith("_checks") or not (CFG.lib_path/f"{page}.py").exists(): continue
        module = importlib.import_module(f"{CFG.lib_name}.{page}")
        parts.append(f"## {module.__name__}\n\nFrom [{title(notebook)}]({notebook}).")
        for node in ast.parse(inspect.getsource(module)).body:
            for name in [node.name] if hasattr(node, "name") else [o.id for o in getattr(node, "targets", []) if isinstance(o, ast.Name)]:
                if name not in module.__all__: continue
                parts.append(entry(module, name, node.lineno, users))
                for o in node.body if isinstance(node, ast.ClassDef) else ():
                    if isinstance(o, ast.FunctionDef) and not o.name.startswith("_"): parts.append(entry(module, f"{name}.{o.name}", o.lineno, users))
    return local_text(NbdevLookup().linkify("\n\n".join(parts)), NBS) + "\n"
