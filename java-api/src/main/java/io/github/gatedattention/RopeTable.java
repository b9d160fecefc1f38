package io.github.gatedattention;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Cosines and sines of all angles of the positions from 0 on, {@code [positions, dim / 2]} each; made once, then only read. */
final class RopeTable {
    final Tensor cosines;
    final Tensor sines;

    RopeTable(Rope rope, int positions) {
        int pairs = rope.dim() / 2;
        Arena arena = Arena.ofAuto(); // freed with this object
        cosines = Tensor.allocate(arena, DataType.F32, positions, pairs);
        sines = Tensor.allocate(arena, DataType.F32, positions, pairs);
        MemorySegment cosine = cosines.segment();
        MemorySegment sine = sines.segment();
        for (long position = 0; position < positions; position++) {
            for (int n = 0; n < pairs; n++) {
                double angle = position * rope.frequency(n);
                long at = position * pairs + n;
                cosine.setAtIndex(ValueLayout.JAVA_FLOAT, at, (float) (rope.magnitude() * Math.cos(angle)));
                sine.setAtIndex(ValueLayout.JAVA_FLOAT, at, (float) (rope.magnitude() * Math.sin(angle)));
            }
        }
    }

    long positions() {
        return cosines.dim(0);
    }
}
