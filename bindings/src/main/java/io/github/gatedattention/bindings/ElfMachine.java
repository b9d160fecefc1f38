package io.github.gatedattention.bindings;

/** The processors that ELF's {@code e_machine} can name and that a library for this project can be for. */
enum ElfMachine {
    X86_64(62, "x86-64"),
    AARCH64(183, "64-bit ARM (aarch64)");

    private final int code;
    private final String description;

    ElfMachine(int code, String description) {
        this.code = code;
        this.description = description;
    }

    /** The value of {@code e_machine}. */
    int code() {
        return code;
    }

    /** The processor's name in a sentence. */
    String description() {
        return description;
    }

    /** The name of the processor with this {@code e_machine}, as far as it is one of the usual ones. */
    static String describe(int code) {
        for (ElfMachine machine : values()) {
            if (machine.code == code) {
                return machine.description;
            }
        }
        return switch (code) {
            case 3 -> "32-bit x86";
            case 21 -> "64-bit POWER";
            case 22 -> "IBM Z";
            case 40 -> "32-bit ARM";
            case 243 -> "RISC-V";
            case 258 -> "LoongArch";
            default -> "ELF machine " + code;
        };
    }
}
