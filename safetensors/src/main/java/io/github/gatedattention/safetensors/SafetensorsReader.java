package io.github.gatedattention.safetensors;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.LinkedHashMap;

/** Reads a file in four steps, each a class: open it, parse its header, check the layout of its data, load the data. */
final class SafetensorsReader {
    private SafetensorsReader() {}

    static SafetensorsFile read(Path path, Arena arena) throws SafetensorsException {
        try (var file = InputFile.open(path)) {
            return read(file, arena);
        }
    }

    static SafetensorsFile read(String name, byte[] content, Arena arena) throws SafetensorsException {
        try (var file = InputFile.of(name, content)) {
            return read(file, arena);
        }
    }

    private static SafetensorsFile read(InputFile file, Arena arena) throws SafetensorsException {
        long headerBytes = headerBytes(file);
        Header header = HeaderParser.parse(file, headerBytes);
        long dataStart = Header.LENGTH_BYTES + headerBytes;
        DataLayout.check(file, header, dataStart);
        LinkedHashMap<String, SafetensorsTensor> tensors = DataLoader.load(file, header, dataStart, arena);
        file.requireSameSize();
        return new SafetensorsFile(tensors, header.metadata());
    }

    /** The length in the first 8 bytes, checked against the file; a file of another kind is called by its name. */
    private static long headerBytes(InputFile file) throws SafetensorsException {
        long size = file.size();
        if (size == 0) {
            throw file.problem("is empty (0 bytes); a safetensors file has at least " + (Header.LENGTH_BYTES + 2));
        }
        byte[] start = new byte[(int) Math.min(size, ForeignFormat.SAMPLE_BYTES)];
        file.readFully(ByteBuffer.wrap(start), 0);
        if (size < Header.LENGTH_BYTES) {
            throw file.problem(ForeignFormat.recognize(
                    start, "has " + size + " bytes, the header's length alone takes " + Header.LENGTH_BYTES));
        }
        long length = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN).getLong();
        String said = "says that its header has " + Long.toUnsignedString(length) + " bytes";
        if (Long.compareUnsigned(length, Header.MAX_BYTES) > 0) {
            throw file.problem(
                    ForeignFormat.recognize(start, said + ", the format allows at most " + Header.MAX_BYTES));
        }
        if (length > size - Header.LENGTH_BYTES) {
            throw file.problem(ForeignFormat.recognize(
                    start,
                    said + ", only " + (size - Header.LENGTH_BYTES) + " follow: it is cut off or no safetensors file"));
        }
        if (length < 2) {
            throw file.problem(said + ", the smallest header, {}, has 2");
        }
        return length;
    }
}
