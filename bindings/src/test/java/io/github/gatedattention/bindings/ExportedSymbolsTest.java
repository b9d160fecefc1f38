package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The libraries export the functions of the ABI and nothing else, on every platform that was built. */
class ExportedSymbolsTest {

    @Test
    void areTheAbi() throws Exception {
        assertThat(ExportedSymbols.of(Libraries.real()))
                .containsExactlyInAnyOrderElementsOf(AbiTable.ofTheLibrary().functions());
    }

    @Test
    void areTheSameOnEveryPlatform() throws Exception {
        List<Path> libraries;
        try (Stream<Path> files = Files.walk(Path.of("../native/target/library"))) {
            libraries = files.filter(file -> file.getFileName().toString().equals("libgatedattention.so"))
                    .toList();
        }
        assertThat(libraries).isNotEmpty();
        for (Path library : libraries) {
            assertThat(ExportedSymbols.of(Files.readAllBytes(library)))
                    .as(library.toString())
                    .containsExactlyInAnyOrderElementsOf(AbiTable.ofTheLibrary().functions());
        }
    }

    @Test
    void areFoundByTheReader(@TempDir Path directory) throws Exception {
        Path library = Libraries.stub(directory, """
                int shown(void) { return 1; }
                int data = 2;
                __attribute__((weak)) int weak(void) { return 3; }
                __attribute__((visibility("hidden"))) int hidden(void) { return 4; }
                static int local(void) { return 5; }
                int use(void) { return local() + hidden(); }
                """);
        assertThat(ExportedSymbols.of(Files.readAllBytes(library)))
                .containsExactlyInAnyOrder("shown", "data", "weak", "use");
    }
}
