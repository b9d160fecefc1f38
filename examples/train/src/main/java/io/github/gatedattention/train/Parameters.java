package io.github.gatedattention.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Makes the parameters of a model and keeps them in order. What one holds at first depends on the seed and its name alone: models that
 * differ in their gates begin with the same queries, keys, values and MLPs, as far as these have the same shape.
 */
final class Parameters {
    private final Arena arena;
    private final long seed;
    private final List<Parameter> all = new ArrayList<>();

    Parameters(Arena arena, long seed) {
        this.arena = arena;
        this.seed = seed;
    }

    /** All of them, in the order in which they were made. */
    List<Parameter> all() {
        return Collections.unmodifiableList(all);
    }

    /** A matrix {@code [rows, columns]} of a normal distribution. */
    Parameter matrix(String name, double deviation, int rows, int columns) {
        Parameter parameter = zeros(name, true, rows, columns);
        fill(name, deviation, parameter.value());
        return parameter;
    }

    /** A norm's weight. */
    Parameter ones(String name, int size) {
        Parameter parameter = zeros(name, false, size);
        for (int i = 0; i < size; i++) {
            parameter.value().segment().setAtIndex(JAVA_FLOAT, i, 1);
        }
        return parameter;
    }

    /** Zeros of any shape. */
    Parameter zeros(String name, boolean decays, long... shape) {
        Parameter parameter = Parameter.zeros(arena, name, decays, shape);
        all.add(parameter);
        return parameter;
    }

    /** Fills a matrix, or a view {@code [blocks, rows, columns]} of one, with the numbers that belong to a name. */
    void fill(String name, double deviation, Tensor view) {
        var random = new SplittableRandom(seed * 1_000_003 + name.hashCode());
        Tensor blocks = view.rank() == 3 ? view : view.reshape(1, view.dim(0), view.dim(1));
        for (long b = 0; b < blocks.dim(0); b++) {
            for (long row = 0; row < blocks.dim(1); row++) {
                for (long column = 0; column < blocks.dim(2); column++) {
                    blocks.setFloat((float) (deviation * random.nextGaussian()), b, row, column);
                }
            }
        }
    }
}
