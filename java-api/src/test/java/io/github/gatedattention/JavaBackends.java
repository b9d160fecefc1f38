package io.github.gatedattention;

/** The two ways of the pure Java backend, which a program gets one of. */
public final class JavaBackends {
    private JavaBackends() {}

    /** Plain loops. */
    public static Backend plain() {
        return Plain.BACKEND;
    }

    /** Vectors; only where {@link #hasVectors}. */
    public static Backend vector() {
        return Vector.BACKEND;
    }

    /** Whether this JVM has {@code jdk.incubator.vector}. */
    public static boolean hasVectors() {
        return VectorModule.isUsable();
    }

    private static final class Plain {
        static final Backend BACKEND = new JavaBackend("tests ask for plain loops");
    }

    private static final class Vector {
        static final Backend BACKEND = new JavaBackend(null);
    }
}
