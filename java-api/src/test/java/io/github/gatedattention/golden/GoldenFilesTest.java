package io.github.gatedattention.golden;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The reference files are the published ones, and none is missing. */
class GoldenFilesTest {
    @Test
    void everyFileHasItsPublishedHash() throws IOException, NoSuchAlgorithmException {
        Path sums = GoldenFile.path("SHA256SUMS");
        TreeMap<String, String> expected = new TreeMap<>();
        for (String line : Files.readAllLines(sums)) {
            expected.put(line.substring(66), line.substring(0, 64));
        }
        TreeMap<String, String> actual = new TreeMap<>();
        try (Stream<Path> files = Files.walk(sums.getParent())) {
            for (Path file :
                    files.filter(f -> f.toString().endsWith(".safetensors")).toList()) {
                byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file));
                actual.put(
                        sums.getParent().relativize(file).toString(),
                        HexFormat.of().formatHex(hash));
            }
        }
        assertThat(actual).isEqualTo(expected);
    }
}
