package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Checks that the tensors of one epilogue, or of its backward, fit the settings and each other. */
final class EpilogueCheck {
    private EpilogueCheck() {}

    static void forward(
            EpilogueSettings settings, Tensor in, @Nullable Tensor gate, @Nullable Tensor residual, Tensor out) {
        in(settings, in);
        gate(settings, gate, in);
        if (residual != null) {
            CallCheck.floating("residual", residual);
            like("residual", residual, in);
            CallCheck.unshared("residual", residual);
        }
        CallCheck.type("out", out, settings.dataType());
        like("out", out, in);
        CallCheck.output("out", out);
        apart("out", out, "in", in);
        apart("out", out, "gate", gate);
        apart("out", out, "residual", residual);
    }

    static void backward(
            EpilogueSettings settings,
            Tensor in,
            @Nullable Tensor gate,
            Tensor dOut,
            @Nullable Tensor dIn,
            @Nullable Tensor dGate) {
        in(settings, in);
        gate(settings, gate, in);
        CallCheck.type("dOut", dOut, settings.dataType());
        like("dOut", dOut, in);
        CallCheck.unshared("dOut", dOut);
        if (dIn != null) {
            if (dIn.dataType() != DataType.F32) {
                CallCheck.type("dIn", dIn, settings.dataType());
            }
            like("dIn", dIn, in);
            CallCheck.output("dIn", dIn);
            apart("dIn", dIn, "dOut", dOut);
            CallCheck.disjoint("dIn", dIn, "in", in);
            CallCheck.disjoint("dIn", dIn, "gate", gate);
        }
        if (dGate == null) {
            return;
        }
        if (gate == null) {
            throw new IllegalArgumentException("dGate is a " + dGate + ", but gate is null");
        }
        Place.requireHost("dGate", dGate);
        CallCheck.floating("dGate", dGate);
        CallCheck.rank("dGate", dGate, 3);
        for (int axis = 0; axis < 3; axis++) {
            CallCheck.extent("dGate", dGate, axis, "elements", gate.dim(axis), "the extent of gate");
            if (gate.stride(axis) == 0 && gate.dim(axis) > 1) {
                throw new IllegalArgumentException("gate repeats its element on axis " + axis + " of " + gate.dim(axis)
                        + " elements; for a gradient give it 1 there");
            }
        }
        if (dGate.dim(2) > 1) {
            CallCheck.contiguous("dGate", dGate, 2);
        }
        CallCheck.output("dGate", dGate);
        CallCheck.disjoint("dGate", dGate, "in", in);
        CallCheck.disjoint("dGate", dGate, "gate", gate);
        CallCheck.disjoint("dGate", dGate, "dOut", dOut);
        CallCheck.disjoint("dGate", dGate, "dIn", dIn);
    }

    private static void in(EpilogueSettings settings, Tensor in) {
        Place.requireHost("in", in);
        CallCheck.rank("in", in, 3);
        CallCheck.type("in", in, settings.dataType());
        CallCheck.extent("in", in, 2, "elements", settings.width(), "width");
        CallCheck.contiguous("in", in, 2);
        CallCheck.unshared("in", in);
    }

    private static void gate(EpilogueSettings settings, @Nullable Tensor gate, Tensor in) {
        boolean wanted = settings.gate() != null;
        if (wanted != (gate != null)) {
            throw new IllegalArgumentException("gate is " + (gate == null ? "null" : "a " + gate)
                    + ", but the epilogue was built with " + (wanted ? "one" : "none"));
        }
        if (gate == null) {
            return;
        }
        Place.requireHost("gate", gate);
        CallCheck.rank("gate", gate, 3);
        CallCheck.floating("gate", gate);
        CallCheck.extentOrOne("gate", gate, 0, "sequences", in.dim(0), "the batch of in");
        CallCheck.extentOrOne("gate", gate, 1, "tokens", in.dim(1), "the number of tokens of in");
        CallCheck.extentOrOne("gate", gate, 2, "elements", in.dim(2), "width");
        if (gate.dim(2) > 1 && gate.stride(2) != 0) {
            CallCheck.contiguous("gate", gate, 2);
        }
    }

    private static void like(String name, Tensor tensor, Tensor in) {
        Place.requireHost(name, tensor);
        CallCheck.rank(name, tensor, 3);
        CallCheck.extent(name, tensor, 0, "sequences", in.dim(0), "the batch of in");
        CallCheck.extent(name, tensor, 1, "tokens", in.dim(1), "the number of tokens of in");
        CallCheck.extent(name, tensor, 2, "elements", in.dim(2), "width");
        CallCheck.contiguous(name, tensor, 2);
    }

    private static void apart(String name, Tensor output, String otherName, @Nullable Tensor other) {
        if (other != null && !output.isSameView(other)) {
            CallCheck.disjoint(name, output, otherName, other);
        }
    }
}
