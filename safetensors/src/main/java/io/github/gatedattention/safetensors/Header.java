package io.github.gatedattention.safetensors;

import java.util.LinkedHashMap;

/** The parsed header, each tensor valid by itself; {@link DataLayout} checks how they lie beside each other. */
record Header(LinkedHashMap<String, TensorEntry> entries, LinkedHashMap<String, String> metadata) {
    /** The one key that is no tensor. */
    static final String METADATA = "__metadata__";

    /** Bytes of the header's length, which comes first in the file. */
    static final int LENGTH_BYTES = 8;

    /** The format's limit for the header, in bytes. */
    static final long MAX_BYTES = 100_000_000;

    /** The longest name of a tensor or metadata key, in UTF-16 units. */
    static final int MAX_NAME = 4096;
}
