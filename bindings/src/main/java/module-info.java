/**
 * The C ABI of gated attention as Java sees it, and the loading of the library behind it.
 *
 * <p>This is the only module of gated attention that calls restricted methods: grant it native access with
 * {@code --enable-native-access=io.github.gatedattention.bindings}.
 */
@SuppressWarnings("module") // the qualified export names a module that is compiled later
module io.github.gatedattention.bindings {
    requires static org.jspecify;

    exports io.github.gatedattention.bindings;
    exports io.github.gatedattention.bindings.generated to
            io.github.gatedattention;
}
