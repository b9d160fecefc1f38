package io.github.gatedattention.bindings;

/** How the library's bytes reached the operating system's loader. */
public enum LoadMethod {
    /** The file named by the system property, loaded where it lies. */
    IN_PLACE("in place"),
    /** A private copy in the extraction directory, deleted right after loading. */
    EXTRACTED_FILE("through a private file, deleted since"),
    /** A sealed memory file (Linux memfd), which nobody can change and no mount option forbids. */
    SEALED_MEMORY("through a sealed memory file");

    private final String description;

    LoadMethod(String description) {
        this.description = description;
    }

    /**
     * The method in words, to follow "loaded from ...".
     *
     * @return a few words
     */
    public String description() {
        return description;
    }
}
