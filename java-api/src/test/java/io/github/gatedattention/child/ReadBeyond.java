package io.github.gatedattention.child;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Lets a function of libc read one byte behind a guarded tensor. */
public final class ReadBeyond {
    private ReadBeyond() {}

    public static void main(String[] arguments) throws Throwable {
        Linker linker = Linker.nativeLinker();
        MethodHandle memcmp = linker.downcallHandle(
                linker.defaultLookup().findOrThrow("memcmp"),
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));
        try (Arena arena = Arena.ofConfined()) {
            Tensor a = GuardedMemory.tensor(arena, GuardedMemory.Side.BEHIND, DataType.F32, 7);
            Tensor b = Tensor.allocate(arena, DataType.F32, 8);
            System.out.println("reading");
            int difference =
                    (int) memcmp.invokeExact(a.segment().address(), b.segment().address(), 32L);
            System.out.println("survived " + difference);
        }
    }
}
