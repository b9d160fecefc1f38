package io.github.gatedattention.bindings;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A library that the user names by a path: read whole and checked, because a broken one would kill the JVM. */
final class NamedLibrary {

    private static final long MAX_BYTES = 1L << 30;

    private NamedLibrary() {}

    /** The library of {@value NativeLibrary#LIBRARY_PROPERTY}. */
    static Path find(String value) throws RefusedException {
        return find(NativeLibrary.LIBRARY_PROPERTY, value);
    }

    /** The absolute path that the property's value stands for, of an existing regular file. */
    static Path find(String property, String value) throws RefusedException {
        Path path;
        try {
            path = Path.of(value).toAbsolutePath();
        } catch (InvalidPathException e) {
            throw refusal(
                    Refusal.INVALID_PROPERTY,
                    property,
                    value,
                    "is no path: " + e.getReason() + "; name a library or leave it away");
        }
        if (value.isBlank()) {
            throw refusal(Refusal.INVALID_PROPERTY, property, value, "is blank; name a library or leave it away");
        }
        if (!Files.exists(path)) {
            throw refusal(
                    Refusal.NOT_FOUND,
                    property,
                    value,
                    Files.exists(path, LinkOption.NOFOLLOW_LINKS)
                            ? "is a symbolic link to nothing; name an existing library or leave it away"
                            : "does not exist; name an existing library or leave it away");
        }
        if (!Files.isRegularFile(path)) {
            String kind = Files.isDirectory(path) ? "a directory" : "a special file";
            throw refusal(Refusal.UNREADABLE, property, value, "is " + kind + "; name the library file itself");
        }
        return path;
    }

    /** Reads and checks the library of {@value NativeLibrary#LIBRARY_PROPERTY}. */
    static LibraryImage read(Path path, ElfMachine machine) throws RefusedException {
        return read(NativeLibrary.LIBRARY_PROPERTY, path, machine);
    }

    /** Reads and checks the file. */
    static LibraryImage read(String property, Path path, ElfMachine machine) throws RefusedException {
        byte[] bytes;
        try {
            long size = Files.size(path);
            if (size > MAX_BYTES) {
                throw refusal(
                        Refusal.NOT_A_LIBRARY,
                        property,
                        path.toString(),
                        "has " + size + " bytes, more than the " + MAX_BYTES + " that a library can have here");
            }
            bytes = Files.readAllBytes(path);
        } catch (IOException e) {
            throw refusal(
                    Refusal.UNREADABLE, property, path.toString(), "cannot be read (" + e + "); make it readable");
        }
        ElfFile.check(name(property, path.toString()), bytes, machine);
        return new LibraryImage(path.toString(), bytes);
    }

    /** Compares the file with the hash that the user expects of it, if any. */
    static void checkHash(LibraryImage image, @Nullable String expected) throws RefusedException {
        if (expected != null && !expected.equalsIgnoreCase(image.sha256())) {
            throw new RefusedException(
                    Refusal.HASH_MISMATCH,
                    name(NativeLibrary.LIBRARY_PROPERTY, image.origin()) + " has the SHA-256 " + image.sha256()
                            + ", but the system property "
                            + NativeLibrary.LIBRARY_SHA256_PROPERTY + " expects " + expected
                            + "; get the right file, or the right hash.");
        }
    }

    private static String name(String property, String value) {
        return "The file " + value + ", named by the system property " + property + ",";
    }

    private static RefusedException refusal(Refusal refusal, String property, String value, String what) {
        return new RefusedException(
                refusal, "The system property " + property + " is \"" + value + "\", which " + what + ".");
    }
}
