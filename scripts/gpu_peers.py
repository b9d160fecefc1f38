#!/usr/bin/env python3
"""PyTorch's attention with a gate behind it, for ./ga gpu-check: the peers that the library is timed beside.

Asked in lines of JSON on standard input, it answers in lines of JSON on standard output, the last of an answer being
{"done": true}. Its first line says what it is, or {"absent": "why"}.

  {"ask": "ceilings"}                     a large matrix product and a large copy: name, rate
  {"ask": "cell", "batch": 2, ...}        gets operands ready; a line for each implementation and gate: ready or refused
  {"ask": "turn", "milliseconds": 20}     a line for each that is ready: the median microseconds of a call

Each implementation gets what suits it: operands that lie as [batch, sequence, head, dim] and are passed as views
[batch, head, sequence, dim], grouped heads without copies, its gate in one kernel where it is compiled, and everything in a
CUDA graph of several calls, whose operands rotate so that the L2 cache does not hold them.
"""

import argparse
import json
import os
import statistics
import sys


def fail_to_start(output, reason):
    print(json.dumps({"absent": reason}), file=output, flush=True)
    return 0


class TorchPeers:
    """PyTorch's scaled_dot_product_attention by one backend at a time."""

    GATES = ("none", "compiled", "eager")

    def __init__(self, torch, device):
        from torch.nn.attention import SDPBackend, sdpa_kernel

        self.torch = torch
        self.device = device
        self.sdpa_kernel = sdpa_kernel
        self.backends = {
            "PyTorch cuDNN": SDPBackend.CUDNN_ATTENTION,
            "PyTorch Flash": SDPBackend.FLASH_ATTENTION,
        }
        self.ready = {}
        # One compilation for each shape: what is known at compile time makes the faster kernel.
        import torch._dynamo

        for name in ("recompile_limit", "cache_size_limit"):
            if hasattr(torch._dynamo.config, name):
                setattr(torch._dynamo.config, name, 256)
        self.compiled_gate = torch.compile(self.gate, dynamic=False)

    @staticmethod
    def gate(out, scores):
        return out * scores.sigmoid()

    def version(self):
        torch = self.torch
        cudnn = torch.backends.cudnn.version()
        return f"PyTorch {torch.__version__}, cuDNN {cudnn}, on {torch.cuda.get_device_name(self.device)}"

    # --- Time -----------------------------------------------------------------------------------------------------

    def microseconds(self, launch):
        torch = self.torch
        start = torch.cuda.Event(enable_timing=True)
        stop = torch.cuda.Event(enable_timing=True)
        start.record()
        launch()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) * 1000

    def median(self, launch, milliseconds):
        launch()
        self.torch.cuda.synchronize()
        times = []
        while len(times) < 3 or (sum(times) < milliseconds * 1000 and len(times) < 200):
            times.append(self.microseconds(launch))
        return statistics.median(times)

    def ceilings(self):
        torch = self.torch
        a = torch.randn(8192, 8192, device=self.device, dtype=torch.bfloat16)
        b = torch.randn(8192, 8192, device=self.device, dtype=torch.bfloat16)
        out = torch.empty_like(a)
        fastest = min(self.median(lambda: torch.matmul(a, b, out=out), 10) for _ in range(3))
        yield {"name": "matmul", "rate": 2 * 8192**3 / fastest * 1e-6}
        one = torch.randn(256 << 20, device=self.device, dtype=torch.bfloat16)
        two = torch.empty_like(one)
        fastest = min(self.median(lambda: two.copy_(one), 10) for _ in range(3))
        yield {"name": "copy", "rate": 2 * one.numel() * 2 / fastest * 1e-6}

    # --- One cell -------------------------------------------------------------------------------------------------

    def operands(self, cell):
        torch = self.torch
        batch, heads_q, heads_kv, dim = (int(cell[n]) for n in ("batch", "heads_q", "heads_kv", "head_dim"))
        seq_q, seq_k = int(cell["seq_q"]), int(cell["seq_k"])

        def rows(seq, heads):
            data = torch.randn(batch, seq, heads, dim, device=self.device, dtype=torch.bfloat16)
            return data.transpose(1, 2)

        return [
            (rows(seq_q, heads_q), rows(seq_k, heads_kv), rows(seq_k, heads_kv), rows(seq_q, heads_q))
            for _ in range(int(cell["sets"]))
        ]

    def attend(self, backend, operands, causal, gate):
        torch = self.torch
        q, k, v, scores = operands
        with self.sdpa_kernel(backend):
            out = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
            )
        if gate == "compiled":
            return self.compiled_gate(out, scores)
        return self.gate(out, scores) if gate == "eager" else out

    def graph(self, backend, sets, causal, gate):
        """A function that launches all sets once, captured where that is possible."""
        torch = self.torch

        def run():
            for operands in sets:
                self.attend(backend, operands, causal, gate)

        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):  # warm up, and compile, outside of the capture
            run()
            run()
        torch.cuda.current_stream(self.device).wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        graph.replay()
        torch.cuda.synchronize()
        return graph.replay

    def cell(self, cell):
        torch = self.torch
        self.ready = {}
        torch.cuda.empty_cache()
        sets = self.operands(cell)
        for name, backend in self.backends.items():
            for gate in self.GATES:
                answer = {"implementation": name, "gate": gate}
                try:
                    with torch.no_grad():
                        replay = self.graph(backend, sets, bool(cell["causal"]), gate)
                    self.ready[(name, gate)] = (replay, len(sets))
                    answer["ready"] = True
                except Exception as e:  # whatever PyTorch says is the reason
                    text = (str(e).strip() or type(e).__name__).splitlines()
                    answer["refused"] = text[0][:300]
                    torch.cuda.synchronize()
                yield answer

    def turn(self, milliseconds):
        for (name, gate), (replay, sets) in self.ready.items():
            yield {"implementation": name, "gate": gate, "us": self.median(replay, milliseconds) / sets}


def serve(peers, questions, output):
    """Answers until the questions end."""

    def say(record):
        print(json.dumps(record), file=output, flush=True)

    say({"version": peers.version()})
    for line in questions:
        if not line.strip():
            continue
        question = json.loads(line)
        ask = question.get("ask")
        if ask == "ceilings":
            answers = peers.ceilings()
        elif ask == "cell":
            answers = peers.cell(question)
        elif ask == "turn":
            answers = peers.turn(float(question["milliseconds"]))
        else:
            answers = [{"error": f"there is no question {ask!r}"}]
        for answer in answers:
            say(answer)
        say({"done": True})


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=int, default=0, help="index of the CUDA device (default 0)")
    options = parser.parse_args(arguments)
    if options.device < 0:
        parser.error(f"--device is {options.device}, less than 0")
    # Standard output is for answers alone: what libraries print goes to standard error.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        import torch
    except ImportError as e:
        return fail_to_start(output, f"PyTorch cannot be imported: {e}")
    if not torch.cuda.is_available():
        return fail_to_start(output, f"PyTorch {torch.__version__} sees no CUDA device")
    if options.device >= torch.cuda.device_count():
        return fail_to_start(output, f"--device is {options.device}, but PyTorch sees {torch.cuda.device_count()} devices")
    torch.cuda.set_device(options.device)
    try:
        peers = TorchPeers(torch, torch.device("cuda", options.device))
    except Exception as e:  # an older PyTorch lacks something
        return fail_to_start(output, f"PyTorch {torch.__version__} lacks what is needed: {e}")
    serve(peers, sys.stdin, output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
