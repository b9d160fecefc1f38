/** Strict reader and atomic writer of safetensors files; an internal module of the command line and the tests. */
module io.github.gatedattention.safetensors {
    requires java.management;
    requires jdk.management;
    requires static transitive org.jspecify;
    requires tools.jackson.core;

    exports io.github.gatedattention.safetensors;
}
