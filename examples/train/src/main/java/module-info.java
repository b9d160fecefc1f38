/** An example: training a small language model with gated attention, {@code ga train} and {@code ga reproduce}. */
module io.github.gatedattention.train {
    requires info.picocli;
    requires io.github.gatedattention;
    requires io.github.gatedattention.cli;
    requires io.github.gatedattention.reporting;
    requires io.github.gatedattention.safetensors;
    requires java.desktop;
    requires org.bytedeco.javacpp;
    requires org.bytedeco.openblas;
    requires static org.jspecify;
    requires tools.jackson.core;
    requires xchart;

    opens io.github.gatedattention.train to
            info.picocli;
}
