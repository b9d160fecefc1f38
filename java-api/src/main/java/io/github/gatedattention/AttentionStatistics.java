package io.github.gatedattention;

import java.util.List;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * What {@link GatedAttention#measure(Operands, AttentionProbe)} measured. A query counts when it sees a key; a sink's share of the
 * probability is no key's.
 *
 * @param sequences one element per sequence of the call
 */
public record AttentionStatistics(List<OfSequence> sequences) {

    /**
     * One sequence.
     *
     * @param queries how many queries count
     * @param heads one element per query head
     */
    public record OfSequence(long queries, List<OfHead> heads) {
        /** Copies the list. */
        public OfSequence {
            heads = List.copyOf(heads);
        }
    }

    /**
     * One query head of one sequence; everything is a mean over its queries, and 0 where none counts.
     *
     * @param firstToken the probability on the first key of the sequence: F-Attn of the paper
     * @param shares the probability on each of the probe's ranges
     * @param entropy {@code -sum p ln p} over the keys, in nats; NaN where it was not asked for
     * @param map the pooled probabilities; null where they were not asked for, or there is no query or key
     */
    public record OfHead(
            double firstToken,
            List<Double> shares,
            double entropy,
            @Nullable AttentionMap map) {
        /** Copies the list. */
        public OfHead {
            shares = List.copyOf(shares);
        }
    }

    /** Copies the list. */
    public AttentionStatistics {
        sequences = List.copyOf(sequences);
    }

    /**
     * Returns how many query heads there are.
     *
     * @return a number of heads; 0 when the call had no sequence
     */
    public int heads() {
        return sequences.isEmpty() ? 0 : sequences.getFirst().heads().size();
    }

    /**
     * Returns the probability on the first token, the mean over all queries and heads: F-Attn.
     *
     * @return a share, 0 to 1; NaN when no query counts
     */
    public double firstToken() {
        double sum = 0;
        for (int h = 0; h < heads(); h++) {
            sum += firstToken(h);
        }
        return sum / heads();
    }

    /**
     * Returns the probability on the first token, the mean over all queries of one head.
     *
     * @param head a query head
     * @return a share, 0 to 1; NaN when no query counts
     */
    public double firstToken(int head) {
        return mean(head, OfHead::firstToken);
    }

    /**
     * Returns the probability on a range of keys, the mean over all queries of one head.
     *
     * @param range the number of the probe's range
     * @param head a query head
     * @return a share, 0 to 1; NaN when no query counts
     */
    public double share(int range, int head) {
        return mean(head, of -> of.shares().get(range));
    }

    /**
     * Returns the entropy of a head, the mean over all its queries.
     *
     * @param head a query head
     * @return nats; NaN when no query counts or it was not asked for
     */
    public double entropy(int head) {
        return mean(head, OfHead::entropy);
    }

    private double mean(int head, ToDoubleFunction<OfHead> value) {
        double sum = 0;
        long queries = 0;
        for (OfSequence sequence : sequences) {
            if (sequence.queries() > 0) {
                sum += sequence.queries() * value.applyAsDouble(sequence.heads().get(head));
                queries += sequence.queries();
            }
        }
        return sum / queries;
    }
}
