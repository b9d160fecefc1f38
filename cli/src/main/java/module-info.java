/** The command line: demo, doctor, replay. */
module io.github.gatedattention.cli {
    requires info.picocli;
    requires io.github.gatedattention;
    requires io.github.gatedattention.baselines;
    requires io.github.gatedattention.bindings;
    requires io.github.gatedattention.safetensors;
    requires java.desktop;
    requires java.management;
    requires jdk.management;
    requires static org.jspecify;
    requires xchart;
    requires tools.jackson.core;

    exports io.github.gatedattention.cli;

    opens io.github.gatedattention.cli to
            info.picocli;
    opens io.github.gatedattention.cli.demo to
            info.picocli;
    opens io.github.gatedattention.cli.doctor to
            info.picocli;
    opens io.github.gatedattention.cli.replay to
            info.picocli;
}
