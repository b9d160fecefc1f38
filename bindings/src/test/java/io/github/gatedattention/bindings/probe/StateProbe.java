package io.github.gatedattention.bindings.probe;

import io.github.gatedattention.bindings.NativeLibrary;

/** Prints what became of the native library in a JVM of its own. */
public final class StateProbe {

    private StateProbe() {}

    public static void main(String[] arguments) {
        print("", NativeLibrary.state());
        System.out.println("granted=" + NativeLibrary.isNativeAccessEnabled());
        System.out.println("option=" + NativeLibrary.nativeAccessOption());
    }

    /** One value per line, for {@code ChildJvm.Result} to read. */
    static void print(String prefix, NativeLibrary.State state) {
        System.out.println(prefix + "describe=" + state.describe());
        switch (state) {
            case NativeLibrary.Loaded loaded -> {
                System.out.println(prefix + "state=loaded");
                System.out.println(prefix + "origin=" + loaded.origin());
                System.out.println(prefix + "sha256=" + loaded.sha256());
                System.out.println(prefix + "abi=" + loaded.abiVersion());
                System.out.println(prefix + "method=" + loaded.method());
            }
            case NativeLibrary.Refused refused -> {
                System.out.println(prefix + "state=refused");
                System.out.println(prefix + "refusal=" + refused.refusal());
            }
        }
    }
}
