"""torchvision's side: trains its network for some steps and writes what it computed.

    python tests/training_parity/peer.py IN.npz OUT.npz

Run by an interpreter that has torch and torchvision, by `run.py`; `IN.npz` has the case as JSON and batches as arrays
named `NUMBER/NAME` (see `batches.py`). `OUT.npz` gets, by torchvision's names, loss terms and gradients of the first
step, the losses of all steps, the weights behind the first few and behind the last one, and whether the inputs of ReLUs
were positive in the first step.
"""

import collections
import contextlib
import itertools
import json
import sys

import cases
import numpy as np
import peer_networks
import torch


def main(source, out):
    torch.set_num_threads(1)  # Threads that wait for each other take long on a busy machine.
    stored = np.load(source)
    case, batches = cases.from_json(str(stored["case"])), collections.defaultdict(dict)
    for key in stored.files:
        if "/" in key:
            number, name = key.split("/", 1)
            batches[int(number)][name] = stored[key]
    if case.double:
        torch.set_default_dtype(torch.float64)
    model = peer_networks.build(case)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    tensors = {name: torch.from_numpy(value) for name, value in cases.state(shapes).items()}
    missing, surplus = model.load_state_dict(tensors, strict=False)
    assert not surplus and all(name.endswith("tracked") for name in missing), (missing, surplus)
    counts = _count_of_norms(model)
    terms = peer_networks.TERMS[case.network]
    found = train(case, model, [batches[i] for i in sorted(batches)], terms)
    np.savez(out, shapes=json.dumps(shapes), counts=json.dumps(counts), torchvision=peer_networks.VERSIONS, **found)


def train(case, model, batches, terms):
    """Loss terms and gradients of the first step, losses, and the weights after the last step."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learned, case.rate, momentum=case.momentum, weight_decay=case.decay)
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, case.factor, total_iters=case.warmup)
    found, losses = {}, []
    if case.network == "mask_rcnn":
        before = {name: value.clone() for name, value in model.state_dict().items()}
        for number, batch in enumerate(batches):
            found[f"rois/{number}"], found[f"targets/{number}"] = peer_networks.mask_targets(case, model, batch)
        model.load_state_dict(before)  # Batch norm has counted these passes.
    for step in range(cases.STEPS):
        with recorded(found) if step == 0 else contextlib.nullcontext():
            parts = terms(case, model, batches[step % len(batches)])
        loss = sum(parts.values())
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            found |= {f"term/{name}": value.detach().numpy() for name, value in parts.items()}
            found |= {
                f"gradient/{name}": parameter.grad.numpy().copy()
                for name, parameter in model.named_parameters()
                if parameter.grad is not None
            }
        optimizer.step()
        warmup.step()
        losses.append(loss.item())
        if step + 1 in (cases.EARLY, cases.STEPS):
            state = model.state_dict().items()
            found |= {f"weight{step + 1}/{name}": value.numpy().copy() for name, value in state}
    return found | {"losses": np.array(losses)}


@contextlib.contextmanager
def recorded(found):
    """A context in which the decisions of each ReLU, whether its inputs are positive, go to `found` as bits."""
    original, numbers = torch.nn.functional.relu, itertools.count()

    def relu(x, inplace=False):
        number = next(numbers)
        found[f"decisions/{number:03}"] = np.packbits(x.detach().numpy() > 0)
        found[f"decided/{number:03}"] = np.array(x.shape)
        return original(x, inplace)

    torch.nn.functional.relu = relu
    try:
        yield
    finally:
        torch.nn.functional.relu = original


def _count_of_norms(model):
    """{name of a trained batch norm: numbers of a channel that it saw in its last batch}; filled by passes."""
    counts = {}

    def count(name):
        return lambda module, inputs: counts.__setitem__(name, inputs[0].numel() // inputs[0].shape[1])

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(count(name))
    return counts


if __name__ == "__main__":
    main(*sys.argv[1:])
