package io.github.gatedattention.bindings;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** Libraries for tests: the real one of this machine, and stubs made on the spot by the C compiler. */
final class Libraries {

    private static final String CLASSIFIER = classifierOfThisJvm();

    private Libraries() {}

    /** The bytes of the packaged library of this machine. */
    static byte[] real() throws IOException {
        try (InputStream stream = Libraries.class.getClassLoader().getResourceAsStream(resource())) {
            if (stream == null) {
                throw new AssertionError("The tests need the resource " + resource() + " on their class path");
            }
            return stream.readAllBytes();
        }
    }

    static String resource() {
        return PackagedLibrary.resourceName(classifier());
    }

    static String classifier() {
        return CLASSIFIER;
    }

    static ElfMachine machine() {
        return classifier().equals("linux-x86_64") ? ElfMachine.X86_64 : ElfMachine.AARCH64;
    }

    private static String classifierOfThisJvm() {
        try {
            return Platform.ofThisJvm().classifier();
        } catch (RefusedException e) {
            throw new AssertionError("The tests need a platform with a native library", e);
        }
    }

    /** The real library in a file. */
    static Path realFile(Path directory) throws IOException {
        return Files.write(directory.resolve("libgatedattention.so"), real());
    }

    /** Compiles C source to a shared library. */
    static Path stub(Path directory, String source) throws IOException, InterruptedException {
        Path code = Files.writeString(directory.resolve("stub.c"), source);
        Path library = directory.resolve("libstub.so");
        Process compiler = new ProcessBuilder(
                        "gcc", "-shared", "-fPIC", "-o", library.toString(), code.toString(), "-lm")
                .redirectErrorStream(true)
                .start();
        String output = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (compiler.waitFor() != 0) {
            throw new AssertionError("gcc failed: " + output);
        }
        return library;
    }
}
