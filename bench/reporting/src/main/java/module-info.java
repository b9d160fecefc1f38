/** The machine's name, tables and the look of pictures, for all programs that write down what they measured. */
module io.github.gatedattention.reporting {
    requires transitive java.desktop;
    requires static org.jspecify;
    requires transitive xchart;

    exports io.github.gatedattention.reporting;
}
