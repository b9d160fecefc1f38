package io.github.gatedattention.bench.peers;

import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Workload;
import java.util.Objects;

/** This library's native function alone, on operands that {@link LibraryPeer} made. */
final class BarePeer extends LibraryPeer {
    private final BareCall call;

    BarePeer(Inputs inputs, int threads) {
        super(inputs, threads);
        if (inputs.workload() != Workload.CALL || threads != 1) {
            throw new UnsupportedOperationException("the bare call is for one head and one thread");
        }
        int dim = inputs.workload().shape().headDim();
        call = new BareCall(
                arena,
                dim,
                q.segment(),
                k.segment(),
                v.segment(),
                Objects.requireNonNull(gate).segment(),
                out.segment());
    }

    @Override
    public void forward() {
        if (call.run() != 0) {
            throw new IllegalStateException("the bare call failed");
        }
    }

    @Override
    public void close() {
        call.close();
        super.close();
    }
}
