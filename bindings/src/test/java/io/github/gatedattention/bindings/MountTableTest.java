package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Reading Linux's list of mounts. */
class MountTableTest {

    @Test
    void findsTheInnermostMount() {
        MountTable mounts = new MountTable(List.of(
                "27 1 254:0 / / rw,discard - ext4 /dev/vda rw",
                "41 27 0:39 / /tmp rw,nosuid,noexec,relatime shared:1 - tmpfs tmpfs rw",
                "42 41 0:40 / /tmp/run rw - tmpfs tmpfs rw"));
        assertThat(mounts.isNoexec(Path.of("/tmp"))).isTrue();
        assertThat(mounts.isNoexec(Path.of("/tmp/x/y"))).isTrue();
        assertThat(mounts.isNoexec(Path.of("/tmp/run/y"))).isFalse();
        assertThat(mounts.isNoexec(Path.of("/tmpfs"))).isFalse();
        assertThat(mounts.isNoexec(Path.of("/"))).isFalse();
    }

    @Test
    void laterMountsHideEarlierOnes() {
        MountTable mounts = new MountTable(List.of(
                "41 27 0:39 / /tmp rw,noexec - tmpfs tmpfs rw", "42 41 0:40 / /tmp rw,relatime - tmpfs tmpfs rw"));
        assertThat(mounts.isNoexec(Path.of("/tmp/x"))).isFalse();
    }

    @Test
    void readsEscapedNamesAndIgnoresOtherLines() {
        MountTable mounts =
                new MountTable(List.of("", "nonsense", "41 27 0:39 / /my\\040disk rw,noexec - tmpfs tmpfs rw"));
        assertThat(mounts.isNoexec(Path.of("/my disk/x"))).isTrue();
    }

    @Test
    void seesThisMachinesMounts() {
        assertThat(MountTable.ofThisProcess().isNoexec(Path.of(System.getProperty("java.home"))))
                .isFalse();
    }
}
