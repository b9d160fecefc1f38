package io.github.gatedattention.cli.demo;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Plan;
import java.util.ArrayList;
import java.util.List;

/**
 * The layer computed by this library and by Java alone, this library first.
 *
 * @param prefillPlan what a prefill does
 * @param decodePlan what a decode step does
 * @param prefill accuracy of the prompt's attention
 * @param decode accuracy of the last token's attention
 * @param contestants times, this library first
 */
record Comparison(Plan prefillPlan, Plan decodePlan, Accuracy prefill, Accuracy decode, List<Contestant> contestants) {
    /** One query in so many is compared with float64: 64 of 1,024, with all heads. */
    static final int QUERY_STEP = 16;

    /** Runs everything; takes most of the demo's time. */
    static Comparison run(Backend backend, int threads) {
        try (var layer = new Layer(backend, threads)) {
            String name = backend == Backend.cpu() ? "gated-attention, bf16" : "its Java backend, bf16";
            double prefillSeconds = new Stopwatch(1, 3, 25).median(layer::prefill);
            double decodeSeconds = new Stopwatch(0.5, 2, 25).median(layer::decode) / Layer.STEPS;
            Accuracy prefill = layer.prefillProblem().accuracy(layer.prefillOut(), DataType.BF16, QUERY_STEP);
            Accuracy decode =
                    layer.decodeProblem(Layer.PROMPT + Layer.STEPS).accuracy(layer.decodeOut(), DataType.BF16, 1);
            var contestants = new ArrayList<Contestant>();
            contestants.add(new Contestant(name, prefillSeconds, decodeSeconds, prefill.relative()));
            var java = new JavaContestants(layer, threads);
            if (JavaContestants.hasVectorApi()) {
                contestants.add(java.vector());
            }
            contestants.add(java.plain());
            return new Comparison(layer.prefillPlan(), layer.decodePlan(), prefill, decode, contestants);
        }
    }
}
