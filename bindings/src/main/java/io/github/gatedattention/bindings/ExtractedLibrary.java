package io.github.gatedattention.bindings;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * A library written to a private directory for as long as it takes to load it; close deletes both.
 *
 * <p>The directory is new, with a random name and mode 0700, so that no other user can look into it or put anything in
 * the library's place, and processes that load at the same time do not meet.
 */
final class ExtractedLibrary implements AutoCloseable {

    private static final String FILE_NAME = "libgatedattention.so";

    private final Path directory;
    private final Path file;

    private ExtractedLibrary(Path directory, Path file) {
        this.directory = directory;
        this.file = file;
    }

    /** Writes the library below a directory that was found usable. */
    static ExtractedLibrary write(ExtractionDirectory base, LibraryImage image) throws RefusedException {
        Path parent = base.require();
        Path directory;
        try {
            directory = Files.createTempDirectory(
                    parent,
                    "gatedattention-",
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        } catch (IOException e) {
            throw writeFailure(base, parent, image, e);
        }
        ExtractedLibrary extracted = new ExtractedLibrary(directory, directory.resolve(FILE_NAME));
        try {
            writeNew(extracted.file, image);
            return extracted;
        } catch (IOException e) {
            extracted.close(); // first, so that the free space is what the next attempt would find
            throw writeFailure(base, parent, image, e);
        } catch (RefusedException e) {
            extracted.close();
            throw e;
        }
    }

    /** Creates the file, which must not be there yet in any form, writes it and compares what the disk then holds. */
    static void writeNew(Path file, LibraryImage image) throws IOException, RefusedException {
        // CREATE_NEW neither follows a symbolic link nor opens what exists already.
        try (SeekableByteChannel channel = Files.newByteChannel(
                file,
                Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("r-x------")))) {
            ByteBuffer bytes = ByteBuffer.wrap(image.bytes());
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (FileAlreadyExistsException e) {
            throw new RefusedException(
                    Refusal.TARGET_EXISTS,
                    "A file or symbolic link " + file
                            + " stands where the native library is to be written; remove it after finding out who planted it.");
        }
        int difference = image.mismatch(Files.readAllBytes(file));
        if (difference >= 0) {
            throw new RefusedException(
                    Refusal.WRITE_FAILED,
                    "The file " + file + " differs from the library of " + image.bytes().length
                            + " bytes right after writing, from byte " + difference
                            + " on; the disk is not to be trusted, name another one by -D"
                            + NativeLibrary.DIRECTORY_PROPERTY + "=DIRECTORY.");
        }
    }

    Path file() {
        return file;
    }

    /** Deletes file and directory; the loaded library does not need them any more. */
    @Override
    public void close() {
        try {
            Files.deleteIfExists(file);
            Files.deleteIfExists(directory);
        } catch (IOException leftBehind) {
            System.getLogger(ExtractedLibrary.class.getName())
                    .log(System.Logger.Level.WARNING, "Cannot delete " + directory + "; delete it by hand", leftBehind);
        }
    }

    private static RefusedException writeFailure(
            ExtractionDirectory base, Path parent, LibraryImage image, IOException cause) {
        int bytes = image.bytes().length;
        long free = freeBytes(parent);
        // Messages of the operating system come in the user's language, so the free space tells.
        if (free < bytes) {
            return ExtractionDirectory.refusal(
                    Refusal.NO_SPACE, base.path(), "has " + free + " bytes free, but the library needs " + bytes);
        }
        return ExtractionDirectory.refusal(
                Refusal.WRITE_FAILED, base.path(), "does not take the library of " + bytes + " bytes (" + cause + ")");
    }

    private static long freeBytes(Path directory) {
        try {
            return Files.getFileStore(directory).getUsableSpace();
        } catch (IOException unknown) {
            return Long.MAX_VALUE;
        }
    }
}
