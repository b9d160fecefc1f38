package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bindings.probe.ProcessProbe;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Loading the library and running its threads change nothing that belongs to the whole process. */
class ProcessStateTest {

    /** Floating-point mode and rounding, every signal's handler, the processors allowed, the locale. */
    private static final String HELPER = """
            #define _GNU_SOURCE
            #include <fenv.h>
            #include <locale.h>
            #include <sched.h>
            #include <signal.h>
            #include <stdint.h>
            #include <stdio.h>
            #include <string.h>

            static uint64_t floating_point_mode(void) {
            #if defined(__x86_64__)
              uint16_t x87;
              __asm__ volatile("fnstcw %0" : "=m"(x87));
              return ((uint64_t)x87 << 32) | (__builtin_ia32_stmxcsr() & ~0x3fu); /* without the sticky flags */
            #else
              uint64_t mode;
              __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
              return mode;
            #endif
            }

            static uint64_t hash(const void *data, size_t bytes) {
              uint64_t seed = 14695981039346656037u;
              for (size_t i = 0; i < bytes; i++) seed = (seed ^ ((const unsigned char *)data)[i]) * 1099511628211u;
              return seed;
            }

            void describe(char *text, int64_t size) {
              cpu_set_t processors;
              sched_getaffinity(0, sizeof processors, &processors);
              int used = snprintf(text, size, "mode %llx, rounding %d, processors %llx, locale %s, handlers",
                                  (unsigned long long)floating_point_mode(), fegetround(),
                                  (unsigned long long)hash(&processors, sizeof processors), setlocale(LC_ALL, NULL));
              for (int number = 1; number < 65; number++) {
                struct sigaction action;
                memset(&action, 0, sizeof action);
                if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
                  used += snprintf(text + used, size - used, " %d:%p:%x", number, (void *)action.sa_handler,
                                   (unsigned)action.sa_flags);
                }
              }
            }
            """;

    @Test
    void staysAsItWas(@TempDir Path directory) throws Exception {
        Path helper = Libraries.stub(directory, HELPER);
        ChildJvm.Result result = ChildJvm.granted().run(ProcessProbe.class, helper.toString());
        LoadingInItsOwnJvmTest.assertLoaded(result, LoadMethod.EXTRACTED_FILE);
        assertThat(result.value("before")).startsWith("mode ").contains(", locale ", ", handlers ");
        assertThat(result.value("loaded")).isEqualTo(result.value("before"));
        assertThat(result.value("used")).isEqualTo(result.value("before"));
        assertThat(result.value("statuses")).isEqualTo("0 0");
    }
}
