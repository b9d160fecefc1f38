package io.github.gatedattention.safetensors;

import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/** The element types of the format. A constant's name is the spelling in the file. */
public enum SafetensorsType {
    BOOL(8),
    F4(4),
    F6_E2M3(6),
    F6_E3M2(6),
    U8(8),
    I8(8),
    F8_E5M2(8),
    F8_E4M3(8),
    F8_E8M0(8),
    F8_E4M3FNUZ(8),
    F8_E5M2FNUZ(8),
    I16(16),
    U16(16),
    F16(16),
    BF16(16),
    I32(32),
    U32(32),
    F32(32),
    C64(64),
    F64(64),
    I64(64),
    U64(64);

    private static final Map<String, SafetensorsType> BY_NAME =
            Arrays.stream(values()).collect(Collectors.toUnmodifiableMap(Enum::name, Function.identity()));

    private final int bits;

    SafetensorsType(int bits) {
        this.bits = bits;
    }

    /** Bits per element. Types of fewer than 8 are packed: a tensor of them must still end on a byte. */
    public int bits() {
        return bits;
    }

    /** The type that a file spells so; spelling is exact. */
    static Optional<SafetensorsType> named(String name) {
        return Optional.ofNullable(BY_NAME.get(name));
    }

    /** The most elements a tensor of this type may have: its size in bytes, of packed types in bits, stays below 2^63. */
    long maxElements() {
        return Long.MAX_VALUE / (isPacked() ? bits : bits / 8);
    }

    /** Whether elements are not whole bytes. */
    boolean isPacked() {
        return bits % 8 != 0;
    }
}
