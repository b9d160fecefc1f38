package io.github.gatedattention.cli.doctor;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Facts in sections, in the order they were added: one tree for both kinds of output. Values are text, numbers, booleans, null. */
final class Report {
    private final Map<String, List<Map<String, @Nullable Object>>> sections = new LinkedHashMap<>();
    private final List<String> lists = new ArrayList<>();

    /** Starts a section of keys and values. */
    Map<String, @Nullable Object> section(String name) {
        var facts = new LinkedHashMap<String, @Nullable Object>();
        sections.put(name, List.of(facts));
        return facts;
    }

    /** Adds an entry to a section that lists several things of a kind. */
    Map<String, @Nullable Object> entry(String name) {
        if (!sections.containsKey(name)) {
            lists.add(name);
        }
        var facts = new LinkedHashMap<String, @Nullable Object>();
        sections.computeIfAbsent(name, _ -> new ArrayList<>()).add(facts);
        return facts;
    }

    /** The sections; one with {@link #isList} may have several entries. */
    Map<String, List<Map<String, @Nullable Object>>> sections() {
        return Collections.unmodifiableMap(sections);
    }

    /** Whether a section lists several things. */
    boolean isList(String section) {
        return lists.contains(section);
    }
}
