package io.github.gatedattention.cli;

import io.github.gatedattention.bindings.LibraryFacts;
import io.github.gatedattention.bindings.NativeLibrary;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.Properties;
import picocli.CommandLine.IVersionProvider;

/** The version of this build and of the native library beside it. */
public final class Version implements IVersionProvider {
    /** The version of the Java code, for example {@code 0.1.0}. */
    public static String current() {
        var properties = new Properties();
        try (InputStream in = Objects.requireNonNull(Version.class.getResourceAsStream("version.properties"))) {
            properties.load(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return properties.getProperty("version");
    }

    @Override
    public String[] getVersion() {
        String java = "Java " + Runtime.version() + ", " + System.getProperty("java.vendor");
        String library = switch (NativeLibrary.state()) {
            case NativeLibrary.Loaded loaded -> "ABI version " + loaded.abiVersion() + ", " + LibraryFacts.buildInfo();
            case NativeLibrary.Refused refused -> "no native library: " + refused.message();
        };
        return new String[] {"gated-attention " + current(), library, java};
    }
}
