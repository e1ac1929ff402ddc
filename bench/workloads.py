# SPDX-License-Identifier: GPL-3.0-or-later
"""The workloads of bench/compare in PyTorch; bench/workloads.tsr has the same in Tessera, under the same names.

usage: workloads.py NAME weights FOLDER    FOLDER/NAME.npz, and a line: losses of 5 steps from there, counted work
       workloads.py NAME turns             a side (turns.py): milliseconds of each step asked for, last loss, memory
       workloads.py about                  a line: version, BLAS, core type

A workload is a function that returns (model or None, draw, step): draw() makes one step's inputs, step(*inputs) takes
the step and returns its loss. THREADS says how many threads."""
import contextlib, ctypes, inspect, json, os, re, sys, time
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)
torch.set_num_threads(int(os.environ.get("THREADS", "2")))


def adamw(parameters):
    """The fastest AdamW that this version has."""
    fused = "fused" in inspect.signature(torch.optim.AdamW).parameters and torch.__version__ >= "2.4"
    return torch.optim.AdamW(parameters, 1e-3, **({"fused": True} if fused else {"foreach": False}))


def trained(model, optimiser, loss, narrow=False):
    """[narrow]: with products of bf16, as PyTorch would have them."""
    def step(*inputs):
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if narrow else contextlib.nullcontext():
            value = loss(*inputs)
        value.backward()
        optimiser.step()
        return value
    return step


# ---- models ----

class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x):
        n, t, dim = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = (q @ k.transpose(-2, -1) * (dim // self.heads) ** -0.5).softmax(-1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(n, t, dim))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class MaskedAutoencoder(nn.Module):
    def __init__(self, dim=192, depth=6, heads=3, inner=96, inner_depth=2, inner_heads=3, tokens=64, patch=4):
        super().__init__()
        self.patch, self.keep = patch, tokens // 4
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.place = nn.Parameter(torch.randn(1, tokens, dim) * 0.02)
        self.encoder = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.narrow = nn.Linear(dim, inner)
        self.hidden = nn.Parameter(torch.zeros(1, 1, inner))
        self.inner_place = nn.Parameter(torch.randn(1, tokens, inner) * 0.02)
        self.decoder = nn.ModuleList(Block(inner, inner_heads) for _ in range(inner_depth))
        self.inner_norm = nn.LayerNorm(inner)
        self.head = nn.Linear(inner, 3 * patch * patch)

    def forward(self, image, noise):
        n, c, h, w = image.shape
        p = self.patch
        patches = image.view(n, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1).reshape(n, -1, p * p * c)
        order = noise.argsort(1)
        restore = order.argsort(1)
        x = self.embed(patches) + self.place
        x = x.gather(1, order[:, :self.keep, None].expand(-1, -1, x.shape[-1]))
        for block in self.encoder:
            x = block(x)
        y = self.narrow(self.norm(x))
        y = torch.cat([y, self.hidden.expand(n, patches.shape[1] - self.keep, -1)], 1)
        y = y.gather(1, restore[:, :, None].expand(-1, -1, y.shape[-1])) + self.inner_place
        for block in self.decoder:
            y = block(y)
        y = self.head(self.inner_norm(y))
        target = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()
        mask = (restore >= self.keep).float()
        return (((y - target) ** 2).mean(-1) * mask).sum() / mask.sum()


class LanguageModel(nn.Module):
    def __init__(self, dim=256, depth=4, heads=4, words=512):
        super().__init__()
        self.embed = nn.Embedding(words, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.head = nn.Linear(dim, words)

    def forward(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 or inputs != outputs else None
        self.short_norm = nn.BatchNorm2d(outputs) if self.short else None

    def forward(self, x):
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + (self.short_norm(self.short(x)) if self.short else x))


class ResNet18(nn.Module):
    def __init__(self, width=64, projection=128):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for level in range(4):
            outputs = width << level
            blocks += [Residual(inputs, outputs, 1 if level == 0 else 2), Residual(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.wide, self.head = nn.Linear(inputs, 512), nn.Linear(512, projection)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(F.relu(self.wide(x.mean((2, 3)))))


def nt_xent(z, temperature=0.5):
    n = len(z) // 2
    z = F.normalize(z, dim=1)
    likeness = (z @ z.T / temperature).fill_diagonal_(-1e9)
    return F.cross_entropy(likeness, (torch.arange(2 * n) + n) % (2 * n))


# ---- training steps ----

def mlp():
    model = nn.ModuleDict({"a": nn.Linear(784, 512), "b": nn.Linear(512, 512), "c": nn.Linear(512, 10)})
    def loss(x, label):
        h = F.relu(model["a"](x.flatten(1)))
        return F.cross_entropy(model["c"](F.relu(model["b"](h))), label)
    draw = lambda: (torch.randn(128, 1, 28, 28), torch.randint(0, 10, (128,)))
    return model, draw, trained(model, adamw(model.parameters()), loss)


def mae(batch=64, narrow=False, **sizes):
    model = MaskedAutoencoder(**sizes)
    side = 4 * int(sizes.get("tokens", 64) ** 0.5)
    draw = lambda: (torch.randn(batch, 3, side, side), torch.rand(batch, sizes.get("tokens", 64)))
    return model, draw, trained(model, adamw(model.parameters()), model, narrow)


def mlm(batch=32, tokens=128, narrow=False, **sizes):
    model = LanguageModel(**sizes)
    loss = lambda x, y: F.cross_entropy(model(x).view(-1, 512), y.view(-1))
    draw = lambda: (torch.randint(0, 512, (batch, tokens)), torch.randint(0, 512, (batch, tokens)))
    return model, draw, trained(model, adamw(model.parameters()), loss, narrow)


def resnet(batch=128, width=64, narrow=False):
    """Channels last, which is faster than PyTorch's default here."""
    model = ResNet18(width).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loss = lambda x: nt_xent(model(x.contiguous(memory_format=torch.channels_last)))
    return model, lambda: (torch.randn(batch, 3, 32, 32),), trained(model, optimiser, loss, narrow)


def tiny():
    def step(x):
        x.requires_grad_()
        x.grad = None
        y = x
        for _ in range(1000):
            y = y * 0.999 + 0.001
        y = y.sum()
        y.backward()
        return y
    return None, lambda: (torch.randn(8),), step


# ---- updates of three million parameters: those of the masked autoencoder ----

def weights_and_gradients():
    return [p.detach() for p in MaskedAutoencoder().parameters()]


def update_adamw():
    weights = [w.requires_grad_() for w in weights_and_gradients()]
    optimiser = adamw(weights)
    def step(*gradients):
        for w, g in zip(weights, gradients):
            w.grad = g
        optimiser.step()
        return weights[0].detach().sum()
    return dict(weights_of(weights)), lambda: tuple(torch.randn_like(w) for w in weights), step


def update_lars(rate=0.5, momentum=0.9, decay=1e-4, trust=1e-3, eps=1e-8):
    """PyTorch has no LARS: this is the usual one, with the operations on lists of tensors where there are."""
    weights = weights_and_gradients()
    kept = [torch.zeros_like(w) for w in weights]
    @torch.no_grad()
    def step(*gradients):
        sizes = torch.stack(torch._foreach_norm(weights))
        slopes = torch.stack(torch._foreach_norm(gradients))
        scales = torch.where((sizes > 0) & (slopes > 0), trust * sizes / (slopes + decay * sizes + eps),
                             torch.ones_like(sizes)).tolist()
        change = torch._foreach_add(gradients, weights, alpha=decay)
        torch._foreach_mul_(change, scales)
        torch._foreach_mul_(kept, momentum)
        torch._foreach_add_(kept, change)
        torch._foreach_add_(weights, kept, alpha=-rate)
        return weights[0].sum()
    return dict(weights_of(weights)), lambda: tuple(torch.randn_like(w) for w in weights), step


def weights_of(weights):
    return ((f"w{i:03}", w) for i, w in enumerate(weights))


# ---- single operations, forward and backward: the loss is the mean of the value and of the gradients ----

def operation(function, *shapes, parameters=()):
    """function(*inputs, *parameters): gradients by all; the last of draw() is the gradient of the value."""
    made = [p.requires_grad_() for p in parameters]
    with torch.no_grad():
        like = function(*(torch.zeros(s) for s in shapes), *made)
    def step(*inputs):
        sources = [*(x.requires_grad_() for x in inputs[:-1]), *made]
        for x in sources:
            x.grad = None
        y = function(*sources)
        y.backward(inputs[-1])
        return y.detach().view(-1)[0] + sum(x.grad.view(-1)[0] for x in sources)
    named = dict(weights_of(made))
    return named, lambda: (*(torch.randn(s) for s in shapes), torch.randn(like.shape)), step


def chain():
    return operation(lambda x, y: F.gelu(x * y + x) * 0.5 + y, (1 << 22,), (1 << 22,))


def gelu():
    return operation(F.gelu, (1 << 22,))


def layer_norm():
    return operation(lambda x, w, b: F.layer_norm(x, (768,), w, b), (4096, 768),
                     parameters=(torch.rand(768) + 0.5, torch.randn(768)))


def softmax():
    return operation(lambda x: x.softmax(-1), (64 * 12 * 197, 197))


def convolution(inputs, outputs, side, size, groups=1):
    weight = nn.Conv2d(inputs, outputs, size, groups=groups, bias=False).weight.detach()
    return lambda: operation(lambda x, w: F.conv2d(x, w, padding=size // 2, groups=groups), (64, inputs, side, side),
                             parameters=(weight,))


def matmul(n):
    return lambda: (None, lambda: (torch.randn(n, n), torch.randn(n, n)), lambda a, b: (a @ b)[0, 0])


def linear(rows, inputs, outputs):
    """As layers multiply: by the transpose of a weight."""
    return lambda: (None, lambda: (torch.randn(rows, inputs), torch.randn(outputs, inputs)), lambda a, b: (a @ b.T)[0, 0])


LAYERS = (1024, 192, 768), (1024, 768, 192), (4096, 256, 1024), (128, 784, 512)

WORKLOADS = {
    "mlp": mlp, "mae": mae, "mlm": mlm, "resnet": resnet, "tiny": tiny,
    "mae_bf16": lambda: mae(narrow=True), "mlm_bf16": lambda: mlm(narrow=True),
    "resnet_bf16": lambda: resnet(narrow=True),
    "adamw": update_adamw, "lars": update_lars,
    "chain": chain, "gelu": gelu, "layer_norm": layer_norm, "softmax": softmax,
    "conv3_64": convolution(64, 64, 32, 3), "conv3_256": convolution(256, 256, 8, 3), "conv3_rgb": convolution(3, 64, 32, 3),
    "conv3_grouped": convolution(128, 128, 16, 3, 8), "conv3_depthwise": convolution(128, 128, 16, 3, 128),
    "conv1": convolution(64, 256, 32, 1),
    **{f"matmul_{n}": matmul(n) for n in (256, 512, 1024, 2048)},
    **{"linear_{}x{}x{}".format(*sizes): linear(*sizes) for sizes in LAYERS},
}


# ---- measuring ----

def counted_work(model, step, inputs):
    """Floating-point operations of the products and convolutions of one step: backward is twice the forward, less the
    gradient of an input that needs none."""
    total = 0
    def count(layer, given, value):
        nonlocal total
        work = 2 * value.numel() * layer.weight[0].numel()
        total += work * (3 if given[0].requires_grad else 2)
    def attention(block, given, value):
        nonlocal total
        n, t, dim = given[0].shape
        total += 3 * 4 * n * t * t * dim
    hooks = []
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            hooks.append(layer.register_forward_hook(count))
        elif isinstance(layer, Block):
            hooks.append(layer.register_forward_hook(attention))
    step(*inputs)
    for hook in hooks:
        hook.remove()
    return total


def resident(field):
    return int(re.search(field + r":\s+(\d+)", open("/proc/self/status").read()).group(1)) / 1024


def take(draw, step, inputs, count):
    """Steps with these inputs, or, where there are none, with new ones each time."""
    took = []
    for _ in range(count):
        start = time.perf_counter()
        loss = float(step(*(inputs or draw())).detach())
        took.append((time.perf_counter() - start) * 1e3)
    return {"ms": took, "loss": loss}


def turns(name):
    a = torch.randn(64, 64, requires_grad=True)
    (a @ a).sum().backward()        # what the first operation loads is start-up
    open("/proc/self/clear_refs", "w").write("5")
    base = resident("VmRSS")
    _, draw, step = WORKLOADS[name]()
    inputs = draw()
    for line in sys.stdin:
        kind, count = line.split()
        answer = take(draw, step, inputs if kind == "fixed" else None, int(count))
        print(json.dumps({**answer, "mb": resident("VmHWM") - base}), flush=True)


def weights(name, folder):
    model, draw, step = WORKLOADS[name]()
    inputs = draw()
    named = model.named_parameters() if isinstance(model, nn.Module) else (model or {}).items()
    arrays = {"p." + path: p.detach().contiguous().numpy() for path, p in named}
    arrays.update({f"x.{i:03}": x.detach().numpy() for i, x in enumerate(inputs)})
    np.savez(os.path.join(folder, name), **arrays)
    losses = [float(step(*inputs).detach()) for _ in range(5)]
    return {"losses": losses, "parameters": sum(a.size for name, a in arrays.items() if name.startswith("p.")),
            "work": counted_work(model, step, inputs) if isinstance(model, nn.Module) else None}


def about():
    """The BLAS that is loaded, and the kernels that it picked for this processor."""
    torch.randn(256, 256) @ torch.randn(256, 256)
    blas, core = "none", torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else "?"
    settings = torch.__config__.show()
    if "Math Kernel Library" in settings:
        blas = "MKL " + re.search(r"Math Kernel Library Version (\S+)", settings).group(1)
    for path in sorted(set(re.findall(r"/\S*openblas\S*", open("/proc/self/maps").read()))):
        library = ctypes.CDLL(path)
        if not hasattr(library, "openblas_get_config"):
            continue                # NumPy's own
        library.openblas_get_config.restype = library.openblas_get_corename.restype = ctypes.c_char_p
        blas, core = library.openblas_get_config().decode() + " " + path, library.openblas_get_corename().decode()
    return {"version": torch.__version__, "blas": blas, "core": core}


if __name__ == "__main__":
    if sys.argv[1] == "about":
        print(json.dumps(about()))
    elif sys.argv[2] == "weights":
        print(json.dumps(weights(sys.argv[1], sys.argv[3])))
    else:
        turns(sys.argv[1])
