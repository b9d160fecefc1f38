package io.github.gatedattention.safetensors;

import java.io.Reader;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/**
 * The header's characters. The decoder refuses what is not UTF-8, overlong forms and encoded surrogates included, and says where;
 * JSON parsers that read bytes tend to let some of it through.
 */
final class HeaderText extends Reader {
    private final InputFile file;
    private final long bytes;
    private final CharsetDecoder decoder = StandardCharsets.UTF_8
            .newDecoder()
            .onMalformedInput(CodingErrorAction.REPORT)
            .onUnmappableCharacter(CodingErrorAction.REPORT);
    private final ByteBuffer chunk = ByteBuffer.allocate(1 << 16).limit(0);

    /** Header bytes already moved into {@link #chunk}. */
    private long taken;

    HeaderText(InputFile file, long bytes) {
        this.file = file;
        this.bytes = bytes;
    }

    @Override
    public int read(char[] target, int offset, int length) throws SafetensorsException {
        var out = CharBuffer.wrap(target, offset, length);
        while (true) {
            CoderResult result = decoder.decode(chunk, out, taken == bytes);
            if (result.isError()) {
                throw malformed(result.length());
            }
            if (out.position() > 0 || length == 0) {
                return out.position();
            }
            if (taken == bytes) {
                return -1;
            }
            refill();
        }
    }

    private void refill() throws SafetensorsException {
        chunk.compact();
        chunk.limit((int) Math.min(chunk.capacity(), chunk.position() + bytes - taken));
        taken += chunk.remaining();
        int begin = chunk.position();
        file.readFully(chunk, Header.LENGTH_BYTES + taken - (chunk.limit() - begin));
        chunk.flip();
    }

    private SafetensorsException malformed(int length) {
        var invalid = new StringBuilder();
        for (int i = 0; i < length; i++) {
            invalid.append(String.format(" %02x", chunk.get(chunk.position() + i)));
        }
        return file.problem("header is not UTF-8: byte " + (taken - chunk.remaining())
                + " of it begins the invalid sequence" + invalid);
    }

    @Override
    public void close() {
        // The file belongs to its opener.
    }
}
