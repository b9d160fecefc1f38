package io.github.gatedattention.cache;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What a cache should hold, in plain lists: the tokens of each sequence and, for each page of it, an object that sequences
 * which share the page have in common. An entry of a contiguous cache is a page that is never shared.
 */
final class CacheModel {
    private final boolean paged;
    private final int pages;
    private final int pageSize;
    private final Map<Long, Held> sequences = new LinkedHashMap<>();

    /** A sequence's tokens and pages. */
    private record Held(List<Integer> tokens, List<Object> pages) {}

    CacheModel(boolean paged, int pages, int pageSize) {
        this.paged = paged;
        this.pages = pages;
        this.pageSize = pageSize;
    }

    List<Long> ids() {
        return List.copyOf(sequences.keySet());
    }

    List<Integer> tokens(long id) {
        return sequences.get(id).tokens;
    }

    int pagesInUse() {
        Set<Object> used = Collections.newSetFromMap(new IdentityHashMap<>());
        for (Held held : sequences.values()) {
            used.addAll(held.pages);
        }
        return used.size();
    }

    boolean canAdd() {
        return paged || pagesInUse() < pages;
    }

    void add(long id) {
        List<Object> own = new ArrayList<>();
        if (!paged) {
            own.add(new Object());
        }
        sequences.put(id, new Held(new ArrayList<>(), own));
    }

    void fork(long from, long to) {
        Held held = sequences.get(from);
        List<Object> shared = new ArrayList<>();
        if (paged) {
            shared.addAll(held.pages);
        } else {
            shared.add(new Object());
        }
        sequences.put(to, new Held(new ArrayList<>(held.tokens), shared));
    }

    /** Whether every sequence can have its new tokens. */
    boolean canAppend(List<Long> ids, List<List<Integer>> tokens) {
        int needed = 0;
        for (int n = 0; n < ids.size(); n++) {
            Held held = sequences.get(ids.get(n));
            int length = held.tokens.size() + tokens.get(n).size();
            if (!paged) {
                if (length > pageSize) {
                    return false;
                }
                continue;
            }
            needed += Math.ceilDiv(length, pageSize) - held.pages.size();
            needed += writesToASharedPage(held, tokens.get(n)) ? 1 : 0;
        }
        return needed <= pages - pagesInUse();
    }

    void append(List<Long> ids, List<List<Integer>> tokens) {
        List<Boolean> copies = new ArrayList<>();
        for (int n = 0; n < ids.size(); n++) {
            copies.add(paged && writesToASharedPage(sequences.get(ids.get(n)), tokens.get(n)));
        }
        for (int n = 0; n < ids.size(); n++) {
            Held held = sequences.get(ids.get(n));
            if (copies.get(n)) {
                held.pages.set(held.pages.size() - 1, new Object());
            }
            held.tokens.addAll(tokens.get(n));
            while (held.pages.size() * pageSize < held.tokens.size()) {
                held.pages.add(new Object());
            }
        }
    }

    private boolean writesToASharedPage(Held held, List<Integer> tokens) {
        if (tokens.isEmpty() || held.tokens.size() % pageSize == 0) {
            return false;
        }
        Object last = held.pages.getLast();
        return sequences.values().stream()
                .anyMatch(other -> other != held && other.pages.stream().anyMatch(page -> page == last));
    }

    void truncate(long id, int length) {
        Held held = sequences.get(id);
        held.tokens.subList(length, held.tokens.size()).clear();
        while (paged && held.pages.size() > Math.ceilDiv(length, pageSize)) {
            held.pages.removeLast();
        }
    }

    void free(long id) {
        sequences.remove(id);
    }
}
