package io.github.gatedattention.safetensors;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The content of a safetensors file.
 *
 * <pre>{@code
 * try (Arena arena = Arena.ofConfined()) {
 *     SafetensorsFile file = SafetensorsFile.read(Path.of("case.safetensors"), arena);
 *     MemorySegment q = file.tensors().get("q").data();
 * }
 * }</pre>
 */
public final class SafetensorsFile {
    private final Map<String, SafetensorsTensor> tensors;
    private final Map<String, String> metadata;

    SafetensorsFile(LinkedHashMap<String, SafetensorsTensor> tensors, LinkedHashMap<String, String> metadata) {
        this.tensors = Collections.unmodifiableMap(tensors);
        this.metadata = Collections.unmodifiableMap(metadata);
    }

    /**
     * Reads a whole file into memory of {@code arena}. The file is checked completely before any of its data is read.
     *
     * @param file a regular file, or a symbolic link to one
     * @param arena owner of the tensors' memory
     * @throws SafetensorsException when the file is not a valid safetensors file, cannot be read, changes its length meanwhile
     *     or needs more memory than there is
     */
    public static SafetensorsFile read(Path file, Arena arena) throws SafetensorsException {
        return SafetensorsReader.read(file, arena);
    }

    /**
     * Reads what {@link #read(Path, Arena)} does, from memory: a resource of a JAR, a download.
     *
     * @param name what to call it in messages
     * @param content the bytes of the file
     * @param arena owner of the tensors' memory
     * @throws SafetensorsException when the content is not a valid safetensors file or needs more memory than there is
     */
    public static SafetensorsFile read(String name, byte[] content, Arena arena) throws SafetensorsException {
        return SafetensorsReader.read(name, content, arena);
    }

    /**
     * Writes a file, all or nothing: into a temporary file of the same directory, which then takes the place of {@code file}.
     * The same content gives the same bytes: tensors are ordered by falling element size, then by name.
     *
     * @param file the file to create or replace
     * @param tensors by name; each key equals the tensor's name
     * @param metadata text for {@code __metadata__}; left out when empty
     * @throws SafetensorsException when the file cannot be written
     * @throws IllegalArgumentException when a name is not allowed, or a key is not its tensor's name
     */
    public static void write(Path file, Map<String, SafetensorsTensor> tensors, Map<String, String> metadata)
            throws SafetensorsException {
        SafetensorsWriter.write(file, tensors, metadata);
    }

    /** The tensors by name, in the order of the header. */
    public Map<String, SafetensorsTensor> tensors() {
        return tensors;
    }

    /** The strings of {@code __metadata__}, in the order of the header; empty when there are none. */
    public Map<String, String> metadata() {
        return metadata;
    }
}
