"Time several ways to the same result, in turns, and compare their medians."
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import torch


@dataclass
class Row:
    "One thing to do, several ways to do it, and what the course wants to reach."
    what:str                          # what is done
    ways:dict                         # name of each way and the function that goes it; "this course" is one of them
    against:str                       # the way the course is held against
    at_most:float|None                # the course's time, as a share of that way's, to reach; None: only shown
    clock:Callable=time.process_time  # CPU seconds of all threads; ways that start processes return their own seconds
    same:Callable=None                # whether the results of two ways are the same; None where a way returns seconds
    seconds:dict=field(default_factory=dict) # for each way, a list of times


def measure(
    row:Row,    # changed: `seconds` is filled
    rounds:int, # how often each way is gone, in turns
)->Row: # the same row
    "Time all ways of a row, one after the other in every round, after one round that does not count."
    timed = row.same is not None
    if timed:
        for way in row.ways.values(): way()
    row.seconds = {name: [] for name in row.ways}
    for _ in range(rounds):
        for name, way in row.ways.items():
            start, used, calls = row.clock(), 0, 0
            while calls == 0 or timed and used < 0.01:  # repeat what is short: a cold first call must not decide
                result, calls = way(), calls+1
                used = row.clock()-start
            row.seconds[name].append(used/calls if timed else result)
    return row


def ratio(
    row:Row,    # a measured row
    name:str,   # a way
    other:str,  # another way
)->float: # median over the rounds of how long the one took, as a share of the other
    return median(a/b for a, b in zip(row.seconds[name], row.seconds[other]))


def reached(row): return ratio(row, "this course", row.against) <= row.at_most


def share_or_speed(
    share:float, # a time as a share of another
    row:Row,     # whose aim says how to put it
)->str: # "1.04", or "25×" for 25 times as fast where the aim is to be much faster
    return (f"{1/share:,.0f}×" if share < 0.01 else f"{1/share:.3g}×") if (row.at_most or 1) < 0.8 else f"{share:.3g}"


def duration(seconds): return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds*1e3:.3g} ms"


def markdown(
    head:list, # names of the columns
    lines,     # the cells of each line
)->str: # a Markdown table
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"]*len(head), *lines])


def table(
    rows:list, # measured rows
)->str: # Markdown
    "The ratios that count, and whether they reach what they should."
    lines = []
    for row in rows:
        found = share_or_speed(ratio(row, "this course", row.against), row)
        if row.at_most is None:
            lines.append([row.what, found, "–", f"none; times the time of *{row.against}*"])
            continue
        aim = share_or_speed(row.at_most, row)
        aim = f"≥ {aim} as fast as *{row.against}*" if "×" in aim else f"≤ {aim} times the time of *{row.against}*"
        lines.append([row.what, found, "yes" if reached(row) else "**no**", aim])
    return markdown(["what", "ratio", "reached", "aim"], lines)


def times(
    rows:list, # measured rows
)->str: # Markdown
    "The medians behind the ratios."
    lines = []
    for row in rows:
        medians = {name: duration(median(o)) for name, o in row.seconds.items()}
        lines.append([row.what, medians.pop("this course"), "; ".join(f"{name} {o}" for name, o in medians.items())])
    return markdown(["what", "this course", "other ways"], lines)


def machine(
)->str: # one line
    "What was measured on."
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.exists() else None
    model = found[1] if found else platform.processor() or platform.machine()
    return (f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
            f"torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")


def in_python(
    code:str, # a program that prints a number or several at its end
    **env,    # environment variables to set; None to unset
): # that number, or a tuple of them
    "Run a program in a process of its own."
    env = {k: v for k, v in {**os.environ, **env}.items() if v is not None}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300)
    if done.returncode: raise RuntimeError(done.stderr)
    numbers = tuple(map(float, done.stdout.splitlines()[-1].split()))
    return numbers if len(numbers) > 1 else numbers[0]
