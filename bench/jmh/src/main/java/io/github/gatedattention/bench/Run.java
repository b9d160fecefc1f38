package io.github.gatedattention.bench;

import java.nio.file.Path;

/** What the launcher tells the JVMs that it forks, by system properties. */
public final class Run {
    static final String THREADS = "gatedattention.bench.threads";
    static final String CACHE = "gatedattention.bench.cache";

    private Run() {}

    /** {@return how many threads every implementation may use, the caller's included} */
    public static int threads() {
        return Integer.getInteger(THREADS, 2);
    }

    /** Where float64 results are kept between forks. */
    static Path cacheDirectory() {
        return Path.of(System.getProperty(
                CACHE,
                Path.of(System.getProperty("java.io.tmpdir"), "gated-attention-bench")
                        .toString()));
    }
}
