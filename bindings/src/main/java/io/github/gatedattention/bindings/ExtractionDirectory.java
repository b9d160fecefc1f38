package io.github.gatedattention.bindings;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The directory below which the packaged library is written, and whether that can be done safely. */
public final class ExtractionDirectory {

    private static final int WORLD_WRITABLE = 0002;
    private static final int STICKY = 01000;

    private final String setting;
    private final @Nullable Path path;
    private final @Nullable RefusedException problem;

    private ExtractionDirectory(String setting, @Nullable Path path, @Nullable RefusedException problem) {
        this.setting = setting;
        this.path = path;
        this.problem = problem;
    }

    /**
     * The directory as it was set.
     *
     * @return a path
     */
    public String path() {
        return setting;
    }

    /**
     * Tells whether a library can be written there and loaded from there.
     *
     * @return true when {@link #refusal()} is empty
     */
    public boolean isUsable() {
        return problem == null;
    }

    /**
     * The kind of reason why the directory will not do.
     *
     * @return nothing when it will do
     */
    public Optional<Refusal> refusal() {
        return Optional.ofNullable(problem).map(RefusedException::refusal);
    }

    /**
     * Says the state in one sentence.
     *
     * @return a sentence for a person
     */
    public String describe() {
        return problem == null
                ? "The directory " + setting + " is safe, writable and allows code."
                : problem.sentence();
    }

    /** The directory with symbolic links resolved, when it will do. */
    Path require() throws RefusedException {
        if (problem != null) {
            throw problem;
        }
        return Objects.requireNonNull(path);
    }

    /** Looks at a directory and changes nothing. */
    static ExtractionDirectory inspect(String setting, MountTable mounts) {
        try {
            Path real = resolve(setting);
            checkSafe(setting, real);
            if (mounts.isNoexec(real)) {
                throw refusal(Refusal.NOEXEC_DIRECTORY, setting, "is on a file system mounted noexec");
            }
            if (!Files.isWritable(real)) {
                throw refusal(Refusal.UNUSABLE_DIRECTORY, setting, "is read-only for this process");
            }
            return new ExtractionDirectory(setting, real, null);
        } catch (RefusedException problem) {
            return new ExtractionDirectory(setting, null, problem);
        }
    }

    static RefusedException refusal(Refusal refusal, String setting, String what) {
        return new RefusedException(
                refusal,
                "The directory " + setting + " " + what + "; name another one by -D" + NativeLibrary.DIRECTORY_PROPERTY
                        + "=DIRECTORY, or set -D" + NativeLibrary.EXTRACT_PROPERTY + "=memfd.");
    }

    private static Path resolve(String setting) throws RefusedException {
        try {
            Path path = Path.of(setting);
            if (!Files.isDirectory(path)) {
                throw refusal(
                        Refusal.UNUSABLE_DIRECTORY, setting, Files.exists(path) ? "is no directory" : "does not exist");
            }
            return path.toRealPath();
        } catch (IOException | InvalidPathException e) {
            throw refusal(Refusal.UNUSABLE_DIRECTORY, setting, "cannot be used (" + e + ")");
        }
    }

    /**
     * In a directory that everybody may write to, anybody can rename the private directory away and put another in its
     * place between the check and the load; the sticky bit, as on /tmp, forbids that. It holds for every directory above too.
     */
    private static void checkSafe(String setting, Path real) throws RefusedException {
        try {
            for (Path directory = real; directory != null; directory = directory.getParent()) {
                int mode = Files.getAttribute(directory, "unix:mode") instanceof Integer bits ? bits : WORLD_WRITABLE;
                if ((mode & WORLD_WRITABLE) != 0 && (mode & STICKY) == 0) {
                    String which = directory.equals(real) ? "" : " (through " + directory + ")";
                    throw refusal(
                            Refusal.UNSAFE_DIRECTORY,
                            setting,
                            "is writable by every user without the sticky bit" + which + ", mode "
                                    + Integer.toOctalString(mode & 07777));
                }
            }
        } catch (IOException | UnsupportedOperationException e) {
            throw refusal(Refusal.UNUSABLE_DIRECTORY, setting, "cannot be inspected (" + e + ")");
        }
    }
}
