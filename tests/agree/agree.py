# SPDX-License-Identifier: GPL-3.0-or-later
# usage: agree.py [--seed N] [--samples N] [--keep FOLDER] [WORD …]
# Compares Tessera with NumPy and PyTorch over random inputs: the lines of table.txt (WORD: those of these names only)
# say what to call on each side. One process of Tessera computes all of it; inputs and results travel in two
# .safetensors files. Speaks TAP, one test a line. tests/README.md explains the table; tests/agree/run starts this.
import argparse
import json
import os
import random
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import warnings

import numpy as np

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = F = None

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"bool": np.bool_, "u8": np.uint8, "i32": np.int32, "i64": np.int64, "f32": np.float32, "f64": np.float64}
CLASSES = {"f": ["f64", "f32"], "i": ["i64", "i32"], "x": ["f64", "bool", "u8", "i32", "i64", "f32"],
           "n": ["f64", "i64", "i32", "f32", "u8"]}
NAMES = {"bool": "BOOL", "uint8": "U8", "int32": "I32", "int64": "I64", "float32": "F32", "float64": "F64"}
TOLERANCE = {"float32": 3e-5, "float64": 1e-9}


# ---- files: safetensors, as far as the two sides need it ----

def write_file(path, arrays):
    header, data, at = {}, [], 0
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": NAMES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [at, at + len(raw)]}
        data.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data))


def read_file(path):
    """The map that Tessera saved: tensors as arrays, lists, numbers and strings as Python's."""
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    meta = header.pop("__metadata__")
    dtypes = {short: np.dtype(name) for name, short in NAMES.items()}
    arrays = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        data = np.frombuffer(raw[8 + size + start:8 + size + stop], dtypes[entry["dtype"]])
        arrays[name] = data.reshape(entry["shape"])

    def value(v):
        if isinstance(v, list):
            return [value(item) for item in v]
        if not isinstance(v, dict):
            return v
        kind, inner = next(iter(v.items()))             # {"tensor": …} and its like: lang/notation.c
        if kind == "tensor":
            return arrays[inner]
        if kind == "scalar":
            return np.asarray(value(inner[1]), DTYPES[inner[0]])
        return float(inner) if kind == "float" else value(inner)

    saved = {key: value(v) for key, v in json.loads(meta.get("values", "[]"))}
    return {**arrays, **saved}


# ---- the table ----

class Row:
    """name | inputs | here | there"""

    def __init__(self, number, line):
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 4:
            sys.exit(f"table.txt, line {number}: a line is `name | inputs | here | there`")
        self.number = number
        self.name, words, self.here, self.there = parts
        self.torch = bool(re.search(r"\b(torch|F)\.", self.there))
        self.grad, self.loose, self.samples, self.inputs = False, 1.0, 6, []
        for word in words.split():
            key, _, spec = word.partition("=")
            if word == "grad":
                self.grad = True
            elif key == "tol":
                self.loose = float(spec)
            elif key == "samples":
                self.samples = int(spec)
            else:
                self.inputs.append((key, spec))
        where = f"table.txt:{number}"
        *steps, result = [part.strip() for part in self.there.strip("{} ").split(";")]
        self.steps = compile("\n".join(steps), where, "exec")
        self.code = compile(result, where, "eval")


def random_list(rng, size):
    """Indices whose shape broadcasts with two elements; as text of both languages."""
    pick = lambda: str(rng.randrange(-size, size))
    return rng.choice([f"[{pick()}, {pick()}]", f"[{pick()}]", f"[[{pick()}], [{pick()}]]", f"[[{pick()}, {pick()}]]"])


def random_mask(rng, shape):
    """One or two places of an array that are true, as nested lists; more than one axis has an array around it."""
    flat = np.zeros(int(np.prod(shape)), bool)
    flat[rng.sample(range(flat.size), min(flat.size, rng.choice([1, 2])))] = True
    return str(flat.reshape(shape).tolist()).replace("T", "t").replace("F", "f")


def random_slice(rng, size, backwards):
    bound = lambda: rng.choice(["", str(rng.randint(-size - 1, size + 1))])
    step = rng.choice(["", ":2", ":-1", ":-2"] if backwards else ["", ":2"])
    return f"{bound()}:{bound()}{step}"


def random_index(rng, shape, options):
    """A subscript of an array of that shape. options: `=` to be assigned to (no new axes), `+` as PyTorch has it: no
    negative steps or masks of several axes, ints and new axes apart from arrays, no place assigned to twice."""
    items, axis, stop = [], 0, rng.randint(1, len(shape))
    kinds = ["int", "slice", "slice", "list", "list", "mask", "masks"]
    if "+" in options:
        kinds = rng.choice([["int", "slice"], ["slice", "mask"] + ([] if "=" in options else ["list"])])
    while axis < stop:
        kind = rng.choice(kinds)
        if kind == "masks" and axis + 2 <= len(shape):
            items.append(random_mask(rng, shape[axis:axis + 2]))
            axis += 1
        elif kind in ("mask", "masks"):
            items.append(random_mask(rng, shape[axis:axis + 1]))
        elif kind == "int":
            items.append(str(rng.randrange(-shape[axis], shape[axis])))
        elif kind == "list":
            items.append(random_list(rng, shape[axis]))
        else:
            items.append(random_slice(rng, shape[axis], "+" not in options))
        axis += 1
    if axis == len(shape) and rng.random() < 0.3:
        items.insert(rng.randint(0, len(items)), "...")
    elif rng.random() < 0.3:
        items.append("...")
    if not options and rng.random() < 0.3:
        items.insert(rng.randint(0, len(items)), "none")
    return items


def python_index(items, maker):
    """The same subscript in Python, lists as arrays."""
    words = {"none": "None", "true": "True", "false": "False"}
    items = [f"{maker}({item})" if item.startswith("[") else item for item in items]
    return re.sub("none|true|false", lambda m: words[m[0]], ", ".join(items))


def expanded(number, line, seed):
    """The rows of a line: one, or forty where `$` stands for a random subscript of `random=[4,5,6]`."""
    match = re.search(r" random(=|=\+)(\[[\d,]+\])", line)
    if not match:
        return [Row(number, line)]
    rng, rows = random.Random(f"{seed} {line}"), []
    shape, options = json.loads(match[2]), match[1][1:] + ("=" if re.search(r"\$\] \S?=", line) else "")
    for _ in range(40):
        items = random_index(rng, shape, options)
        name, words, here, there = (line[:match.start()] + line[match.end():]).split(" | ")
        other = there.replace("$", python_index(items, "torch.tensor" if "torch." in there else "np.array"))
        rows.append(Row(number, " | ".join([name, words + " samples=2", here.replace("$", ", ".join(items)), other])))
    return rows


def read_table(path, words, seed):
    with open(path) as file:
        lines = [(i, line.strip()) for i, line in enumerate(file, 1)]
    lines = [(i, line) for i, line in lines if line and not line.startswith("#")]
    rows = [row for i, line in lines for row in expanded(i, line, seed)]
    return [row for row in rows if not words or row.name in words]


# ---- inputs ----

SPEC = re.compile(r"(\w+)\[([^\]]*)\](?:\(([^)]*)\))?(?::([\w,]+))?$")


def sizes_of(text, rng, sizes):
    """[n,m?,3,n+1]: a letter is 1 to 5 and the same throughout the line, with `?` 0 to 3."""
    shape = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        name = part.rstrip("?")
        if re.fullmatch(r"[a-z]", name) and name not in sizes:
            sizes[name] = rng.randint(0, 3) if part.endswith("?") else rng.randint(1, 5)
        shape.append(int(eval(name, {}, sizes)))
    return tuple(shape)


def float_values(rng, size, low, high, flags, dtype):
    v = rng.uniform(low, high, size)
    if "distinct" in flags:
        v = (rng.permutation(v.size).reshape(size) + 0.5) * (high - low) / max(v.size, 1) + low
    if "ties" in flags:
        v = np.round(v)
    if "nan" in flags and v.size:
        for bad in (np.nan, np.inf, -np.inf, 0.0, -0.0):
            v.flat[rng.integers(v.size)] = bad
    if "spd" in flags:
        v = v @ np.swapaxes(v, -1, -2) + v.shape[-1] * np.eye(v.shape[-1])
    if "sym" in flags:
        v = v + np.swapaxes(v, -1, -2)
    return v.astype(dtype)


def make_input(spec, sample, rng, numbers, sizes):
    whole = re.fullmatch(r"(-?\w+)\.\.(-?\w+)", spec)
    if whole:                                           # k=0..3: a plain int, both ends included
        return rng.randint(int(eval(whole[1], {}, sizes)), int(eval(whole[2], {}, sizes)))
    match = SPEC.match(spec)
    if not match:
        raise ValueError(f"unknown input {spec}")
    kind, shape, limits, flags = match.groups()
    kinds = CLASSES.get(kind, [kind])
    dtype = np.dtype(DTYPES[kinds[sample % len(kinds)]])
    shape = sizes_of(shape, rng, sizes)
    flags = set((flags or "").split(","))
    low, high = (eval(x, {}, sizes) for x in limits.split(",")) if limits else (-3, 3)
    if dtype.kind == "f":
        return float_values(numbers, shape, low, high, flags, dtype)
    if dtype.kind == "b":
        return np.asarray(numbers.random(shape) < 0.5)
    if dtype.name == "uint8" and low < 0:
        low = 0
    if "distinct" in flags:
        return numbers.permutation(int(np.prod(shape))).reshape(shape).astype(dtype)
    return numbers.integers(int(np.ceil(low)), int(high) + 1, shape).astype(dtype)


def make_inputs(row, sample, seed):
    rng = random.Random(f"{seed} {row.name} {row.here} {sample}")
    numbers = np.random.default_rng(rng.getrandbits(32))
    sizes, values = {}, {}
    for key, spec in row.inputs:
        values[key] = make_input(spec, sample, rng, numbers, sizes)
        if isinstance(values[key], int):
            sizes[key] = values[key]
    return {**values, **{letter: n for letter, n in sizes.items() if letter not in values}}


# ---- this side ----

PRELUDE = """\
_in = load(INPUT)
_out = {}
fn _weigh(r) {
    if type(r) == "list" or type(r) == "tuple" { return fold(r, 0.0, (s, x) -> s + _weigh(x)) }
    if not str(r.dtype) in ["f32", "f64"] { return 0.0 }
    flat = reshape(r, -1)
    sum(flat * to(cos(f64(arange(1, flat.size + 1))), r.dtype))
}
fn _try(f) = try { [f()] } catch e { "{e.kind}: {e.message}" }
fn _args(case, tensors, ints, source) {
    given = map([n for n in tensors], n -> (n, source["{case}.{n}"])) ++
            map([n for n in ints], n -> (n, int(source["{case}.{n}"])))
    map(given)
}
fn _slopes(f, args, floats) =
    _try(() -> [grad(x -> _weigh(f(..{..args, [name]: x})))(args[name]) for name in floats])
"""


def script(rows, cases, folder):
    lines = [PRELUDE.replace("INPUT", json.dumps(f"{folder}/in.safetensors"))]
    for i, row in enumerate(rows):
        mine = cases[i]
        if not mine:
            continue
        keys = list(mine[0])
        ints = [key for key in keys if isinstance(mine[0][key], int)]
        tensors = [key for key in keys if key not in ints]
        body = row.here if row.here.startswith("{") else f"= {row.here}"
        lines.append(f"fn _row_{i}({', '.join(keys)}) {body}")
        lines.append(f"for _s in 0..{len(mine)} {{")
        lines.append(f"    _a = _args(\"{i}.{{_s}}\", {json.dumps(tensors)}, {json.dumps(ints)}, _in)")
        lines.append(f"    _out[\"{i}.{{_s}}\"] = _try(() -> _row_{i}(.._a))")
        if row.grad:
            floats = [key for key in tensors if mine[0][key].dtype.kind == "f"]
            lines.append(f"    _out[\"{i}.{{_s}}.grad\"] = _slopes(_row_{i}, _a, {json.dumps(floats)})")
        lines.append("}")
    lines.append(f"save(_out, {json.dumps(f'{folder}/out.safetensors')})")
    with open(f"{folder}/all.tsr", "w") as file:
        file.write("\n".join(lines) + "\n")


def run_here(rows, cases, folder):
    arrays = {}
    for i, mine in enumerate(cases):
        for s, values in enumerate(mine):
            for key, v in values.items():
                arrays[f"{i}.{s}.{key}"] = np.asarray(v)
    write_file(f"{folder}/in.safetensors", arrays)
    script(rows, cases, folder)
    command = [*shlex.split(os.environ.get("WRAPPER", "")), os.environ["TESSERA"], "run", f"{folder}/all.tsr"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode or not os.path.exists(f"{folder}/out.safetensors"):
        print("Bail out! Tessera could not run the table's left side")
        for line in done.stdout.splitlines()[:20]:
            print(f"#   {line}")
        sys.exit(1)
    return read_file(f"{folder}/out.safetensors")


# ---- the other side ----

def plain(v):
    """Results as numbers and arrays, lists for several."""
    if isinstance(v, (list, tuple)):
        return [plain(item) for item in v]
    if torch is not None and isinstance(v, torch.Tensor):
        return v.detach().numpy()
    return v


def weigh(v):
    if isinstance(v, (list, tuple)):
        return sum(weigh(item) for item in v)
    if not v.dtype.is_floating_point:
        return 0.0
    return (v.reshape(-1) * torch.cos(torch.arange(1, v.numel() + 1, dtype=torch.float64)).to(v.dtype)).sum()


def run_there(row, values):
    """(results, gradients or None)"""
    names = {"np": np, "torch": torch, "F": F, **values}
    if row.torch:
        tensors = {k: torch.from_numpy(v.copy()) for k, v in values.items() if not isinstance(v, int)}
        floats = [t for t in tensors.values() if t.dtype.is_floating_point]
        for t in floats:
            t.requires_grad_(row.grad)
        names.update(tensors)
    exec(row.steps, names)
    result = eval(row.code, names)
    if not row.grad:
        return plain(result), None
    total = weigh(result)
    slopes = torch.autograd.grad(total, floats, allow_unused=True) if torch.is_tensor(total) and total.requires_grad \
        else [None] * len(floats)
    return plain(result), [plain(torch.zeros_like(t) if g is None else g) for t, g in zip(floats, slopes)]


# ---- comparing ----

def differs(mine, theirs, dtypes, loose):
    """What is wrong, or None."""
    if isinstance(theirs, list):
        if not isinstance(mine, list) or len(mine) != len(theirs):
            return f"{len(theirs)} results expected"
        return next((why for m, t in zip(mine, theirs) if (why := differs(m, t, dtypes, loose))), None)
    m, t = np.asarray(mine), np.asarray(theirs)
    if m.dtype.kind in "OU":
        return f"no number: {mine}"
    if m.shape != t.shape:
        return f"shape {list(m.shape)}, expected {list(t.shape)}"
    if (m.dtype.kind == "b") != (t.dtype.kind == "b"):
        return f"dtype {m.dtype}, expected {t.dtype}"
    if m.dtype.kind != "f" and t.dtype.kind != "f":
        return None if np.array_equal(m, t) else "values differ"
    low = any(d == "float32" for d in (*dtypes, m.dtype.name, t.dtype.name))
    tolerance = TOLERANCE["float32" if low else "float64"] * loose
    m, t = m.astype(np.float64), t.astype(np.float64)
    finite = t[np.isfinite(t)]
    scale = max(1.0, float(np.abs(finite).max()) if finite.size else 1.0)
    with np.errstate(invalid="ignore"):
        same = (m == t) | (np.isnan(m) & np.isnan(t)) | (np.abs(m - t) <= tolerance * scale)
    return None if same.all() else f"values differ by up to {np.nanmax(np.where(same, 0, np.abs(m - t))):.3g}"


def show(v):
    return np.array2string(np.asarray(v), precision=6, threshold=40, separator=", ").replace("\n", "\n#        ") \
        if not isinstance(v, list) else "[" + "; ".join(show(item) for item in v) + "]"


def judge(row, values, mine, slopes):
    """Lines that say what is wrong with one sample; none when it agrees."""
    try:
        theirs, their_slopes = run_there(row, values)
    except Exception as error:                          # the table's right side is at fault
        return [f"{row.there}: {type(error).__name__}: {error}"]
    dtypes = [v.dtype.name for v in values.values() if not isinstance(v, int)]
    if isinstance(mine, str):
        return [f"here: {mine}", f"expected: {show(theirs)}"]
    why = differs(mine[0], theirs, dtypes, row.loose)
    if why:
        return [why, f"here:     {show(mine[0])}", f"expected: {show(theirs)}"]
    if not row.grad:
        return []
    if isinstance(slopes, str):
        return [f"gradient here: {slopes}"]
    why = differs(slopes[0], their_slopes, dtypes, row.loose * 10)
    return [f"gradient: {why}", f"here:     {show(slopes[0])}", f"expected: {show(their_slopes)}"] if why else []


def uncovered(rows):
    """Ops that have no line."""
    with open(f"{HERE}/../../tensor/ops.def") as file:
        names = re.findall(r"^(?:UNARY|BINARY|OP)\((\w+),", file.read(), re.M)
    with open(f"{HERE}/table.txt") as file:
        excused = re.findall(r"^# without: (.*)", file.read(), re.M)
    known = {row.name for row in rows} | set(" ".join(excused).split())
    return [name for name in names if name not in known]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", default="1")
    parser.add_argument("--samples", type=int, default=0, help="how many inputs a line, instead of its own number")
    parser.add_argument("--keep", help="leave the script and the files in this folder")
    parser.add_argument("--table", help="another table than table.txt")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = read_table(options.table or f"{HERE}/table.txt", options.words, options.seed)
    cases = [[make_inputs(row, s, options.seed) for s in range(options.samples or row.samples)]
             if torch is not None or not row.torch else [] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        if options.keep:
            folder = options.keep
            os.makedirs(folder, exist_ok=True)
        results = run_here(rows, cases, folder)
    whole = not options.words and not options.table
    print(f"1..{len(rows) + whole}")
    failed = 0
    for i, (row, mine) in enumerate(zip(rows, cases)):
        title = f"{i + 1} - {row.name}: {row.here}"
        if not mine:
            print(f"ok {title} # SKIP no PyTorch (Debian: python3-torch)")
            continue
        wrong = [(s, lines) for s, values in enumerate(mine)
                 if (lines := judge(row, values, results[f"{i}.{s}"], results.get(f"{i}.{s}.grad")))]
        print(f"{'not ok' if wrong else 'ok'} {title.replace('#', ' ')}")
        if wrong:
            failed += 1
            s, lines = wrong[0]
            print(f"#   table.txt:{row.number}: {len(wrong)} of {len(mine)} samples; --seed {options.seed}, sample {s}")
            for key, v in mine[s].items():
                print(f"#   {key} = {show(v)}{'' if isinstance(v, int) else f' ({v.dtype})'}")
            for line in lines:
                print(f"#   {line}")
    if whole:
        missing = uncovered(rows)
        failed += bool(missing)
        print(f"{'not ok' if missing else 'ok'} {len(rows) + 1} - every op has a line in table.txt or is excused there")
        if missing:
            print(f"#   no line: {' '.join(missing)}")
    print(f"# {len(rows) + whole - failed} lines agree, {failed} differ")
    sys.exit(1 if failed else 0)


main()
