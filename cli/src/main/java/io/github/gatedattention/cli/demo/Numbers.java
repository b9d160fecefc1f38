package io.github.gatedattention.cli.demo;

import java.util.Locale;

/** Numbers for people. */
final class Numbers {
    private Numbers() {}

    /** Three significant digits, for example {@code 0.0641}, {@code 21.3}, {@code 2,913}. */
    static String significant(double value) {
        int decimals = value > 0 ? Math.clamp(2 - (long) Math.floor(Math.log10(value)), 0, 6) : 0;
        return String.format(Locale.ROOT, "%,." + decimals + "f", value);
    }

    /** How many times as long, for example {@code 4.5x}, {@code 137x}. */
    static String ratio(double ratio) {
        return String.format(Locale.ROOT, ratio < 10 ? "%.1fx" : "%,.0fx", ratio);
    }

    /** A small number, for example {@code 1.3e-07}. */
    static String small(double value) {
        return String.format(Locale.ROOT, "%.1e", value);
    }
}
