package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Peer;

/** Tries one implementation in a JVM of its own: a library that does not fit the machine may take the JVM with it. */
public final class PeerProbe {
    private PeerProbe() {}

    /**
     * Computes once; on failure prints the reason as the last line and exits with 1.
     *
     * @param args the name of an {@link Implementation}
     */
    public static void main(String[] args) {
        try (Peer peer = Implementation.valueOf(args[0])
                .create(
                        Inputs.of(
                                Workload.DECODE_512,
                                Implementation.valueOf(args[0]).precision()),
                        Run.threads())) {
            peer.forward();
        } catch (Throwable t) { // UnsatisfiedLinkError and its like included
            System.out.println(reason(t));
            System.exit(1);
        }
        System.exit(0); // peers leave threads behind
    }

    /**
     * {@return why something failed, in one line: the first cause of all}
     *
     * @param thrown what was thrown
     */
    public static String reason(Throwable thrown) {
        Throwable cause = thrown;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        String message = cause.getMessage();
        String text = cause.getClass().getSimpleName() + (message == null ? "" : ": " + message);
        return text.lines().findFirst().orElse("unknown");
    }
}
