"""scripts/gpu_peers.py without PyTorch or a GPU: its arguments, its protocol, and gpu_check on the other side of it.

   peers_test.py SCRIPTS GPU_CHECK FAKE-LIBRARY       run by `run`
   peers_test.py SCRIPTS --serve                      peers that answer made-up times
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

SCRIPTS = sys.argv[1]
sys.path.insert(0, SCRIPTS)
import gpu_peers  # noqa: E402


class MadeUpPeers:
    """Flash is there with every gate, cuDNN refuses."""

    def version(self):
        return "made-up peers"

    def ceilings(self):
        yield {"name": "matmul", "rate": 700.5}

    def cell(self, cell):
        self.keys = cell["seq_k"]
        for gate in gpu_peers.TorchPeers.GATES:
            yield {"implementation": "PyTorch Flash", "gate": gate, "ready": True}
            yield {"implementation": "PyTorch cuDNN", "gate": gate, "refused": "it does not want to"}

    def turn(self, milliseconds):
        for n, gate in enumerate(gpu_peers.TorchPeers.GATES):
            yield {"implementation": "PyTorch Flash", "gate": gate, "us": 1000 + 100 * n}


class Protocol(unittest.TestCase):
    def answers(self, *questions):
        output = io.StringIO()
        gpu_peers.serve(MadeUpPeers(), [json.dumps(q) + "\n" for q in questions], output)
        return [json.loads(line) for line in output.getvalue().splitlines()]

    def test_says_what_it_is_and_ends_each_answer(self):
        answers = self.answers({"ask": "ceilings"}, {"ask": "cell", "seq_k": 7}, {"ask": "turn", "milliseconds": 1})
        self.assertEqual(answers[0], {"version": "made-up peers"})
        self.assertEqual([a for a in answers if a.get("done")], [{"done": True}] * 3)
        self.assertEqual(sum("us" in a for a in answers), 3)

    def test_names_an_unknown_question(self):
        self.assertIn("'dance'", self.answers({"ask": "dance"})[1]["error"])


class MadeUpTorch(unittest.TestCase):
    """The part that speaks to PyTorch, to one that is made up: every launch takes 4 ms, and cuDNN refuses."""

    def setUp(self):
        self.torch = unittest.mock.MagicMock()
        self.torch.cuda.Event.return_value.elapsed_time.return_value = 4.0
        self.torch.randn.return_value.numel.return_value = 1000
        attention = self.torch.nn.attention
        backend = []
        attention.sdpa_kernel.side_effect = lambda b: (backend.append(b), unittest.mock.MagicMock())[1]

        def attend(*operands, **options):
            if backend[-1] is attention.SDPBackend.CUDNN_ATTENTION:
                raise RuntimeError("No available kernel.\nMore of it")
            return unittest.mock.MagicMock()

        self.torch.nn.functional.scaled_dot_product_attention.side_effect = attend
        modules = {"torch": self.torch, "torch.nn.attention": attention, "torch._dynamo": self.torch._dynamo}
        patch = unittest.mock.patch.dict(sys.modules, modules)
        patch.start()
        self.addCleanup(patch.stop)
        self.peers = gpu_peers.TorchPeers(self.torch, "cuda:0")

    def test_a_cell_is_timed_with_every_gate_or_refused_with_the_reason(self):
        cell = {"batch": 2.0, "seq_q": 1.0, "seq_k": 64.0, "heads_q": 8.0, "heads_kv": 2.0, "head_dim": 64.0}
        answers = list(self.peers.cell({**cell, "causal": False, "sets": 5.0}))
        refused = [a for a in answers if "refused" in a]
        self.assertEqual({(a["implementation"], a["refused"]) for a in refused}, {("PyTorch cuDNN", "No available kernel.")})
        self.assertEqual({a["gate"] for a in answers if a.get("ready")}, {"none", "compiled", "eager"})
        times = list(self.peers.turn(20))
        self.assertEqual([t["us"] for t in times], [800.0] * 3)  # 4 ms are five calls
        shapes = {call.args for call in self.torch.randn.call_args_list}
        self.assertEqual(shapes, {(2, 1, 8, 64), (2, 64, 2, 64)})

    def test_ceilings(self):
        ceilings = {c["name"]: c["rate"] for c in self.peers.ceilings()}
        self.assertAlmostEqual(ceilings["matmul"], 2 * 8192**3 / 4000 * 1e-6)  # TFLOP/s
        self.assertAlmostEqual(ceilings["copy"], 4 * 1000 / 4000 * 1e-6)  # TB/s


class Script(unittest.TestCase):
    def run_script(self, *arguments):
        script = os.path.join(SCRIPTS, "gpu_peers.py")
        return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, input="", timeout=120)

    def test_bad_arguments(self):
        self.assertEqual(self.run_script("--device", "-1").returncode, 2)
        self.assertEqual(self.run_script("--device", "first").returncode, 2)
        self.assertEqual(self.run_script("--quick").returncode, 2)

    def test_first_line_says_what_it_is_or_why_not(self):
        done = self.run_script("--device", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        first = json.loads(done.stdout.splitlines()[0])
        self.assertTrue("absent" in first or "version" in first, first)


class BesideTheLibrary(unittest.TestCase):
    def records(self, peers):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "records")
            command = [PROGRAM, "time", "--library", LIBRARY, "--tiny", "--seconds", "1", "--records", path, "--peers", peers]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            with open(path, encoding="utf-8") as lines:
                return [json.loads(line) for line in lines]

    def test_times_stand_beside_the_library_s(self):
        records = self.records(f"'{sys.executable}' '{os.path.abspath(__file__)}' '{SCRIPTS}' --serve")
        times = [r for r in records if r["stage"] == "time" and r["cell"] == "d128 causal 8k"]
        by = {(r["implementation"], r["gate"]): r["us"] for r in times}
        self.assertEqual(by[("PyTorch Flash", "none")], 1000)
        self.assertEqual(by[("PyTorch Flash", "compiled")], 1100)
        self.assertEqual({g for i, g in by if i == "library"}, {"none", "head-wise", "element-wise"})
        refused = [r for r in records if r["stage"] == "absent" and r["cell"] == "d128 causal 8k"]
        self.assertEqual({r["reason"] for r in refused}, {"it does not want to"})
        self.assertIn(700.5, [r["rate"] for r in records if r["stage"] == "ceiling"])

    def test_peers_that_die_are_absent_and_the_library_is_timed(self):
        records = self.records("true")
        self.assertTrue([r for r in records if r["stage"] == "peers" and "absent" in r])
        self.assertTrue([r for r in records if r["stage"] == "time"])


if __name__ == "__main__":
    if sys.argv[2] == "--serve":
        gpu_peers.serve(MadeUpPeers(), sys.stdin, sys.stdout)
    else:
        PROGRAM, LIBRARY = sys.argv[2:4]
        unittest.main(argv=sys.argv[:1], verbosity=0)
