package io.github.gatedattention;

/** Whether calls are to be recorded; names no class of JDK Flight Recorder, so that it is safe to ask where it is missing. */
final class Recorder {
    private static final boolean PRESENT = OptionalModule.isReadable("jdk.jfr");

    private Recorder() {}

    /** Whether a recording that asks for {@link ForwardEvent}s runs now: once compiled, a load or two. */
    static boolean isOn() {
        return PRESENT && ForwardEvent.areWanted();
    }
}
