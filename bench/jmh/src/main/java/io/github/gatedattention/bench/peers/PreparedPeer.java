package io.github.gatedattention.bench.peers;

import io.github.gatedattention.Operands;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.bench.Inputs;

/** This library, with the checks of the operands done once before. */
final class PreparedPeer extends LibraryPeer {
    private final PreparedForward prepared;

    PreparedPeer(Inputs inputs, int threads) {
        super(inputs, threads);
        prepared = attention.prepare(Operands.of(q, k, v, gate, out));
    }

    @Override
    public void forward() {
        prepared.run();
    }
}
