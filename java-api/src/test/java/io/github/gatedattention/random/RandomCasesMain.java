package io.github.gatedattention.random;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.JavaBackends;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;

/** Some random cases on the pure Java backend's vectors, in a JVM that was told how wide they are. */
public final class RandomCasesMain {
    private static final long SEED = 20_261_124_000L;

    private RandomCasesMain() {}

    /** Takes the number of cases. */
    public static void main(String[] arguments) {
        System.out.println("kernel: " + kernel());
        Target target = Target.java().getLast();
        int wrong = 0;
        for (int n = 0; n < Integer.parseInt(arguments[0]); n++) {
            RandomCase drawn = new RandomCase(SEED + n);
            String found = new CaseRunner(drawn, target).run(drawn.expected(), new Agreement(), new Agreement());
            if (found != null) {
                System.out.println(drawn + ": " + found);
                wrong++;
            }
        }
        System.out.println(wrong == 0 ? "all right" : "wrong: " + wrong);
        System.exit(wrong == 0 ? 0 : 1);
    }

    private static String kernel() {
        try (Arena arena = Arena.ofConfined();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(1)
                        .headDim(8)
                        .backend(JavaBackends.vector())
                        .build()) {
            Tensor x = Tensor.allocate(arena, DataType.F32, 1, 40, 1, 8);
            return attention.explain(x, x).kernel();
        }
    }
}
