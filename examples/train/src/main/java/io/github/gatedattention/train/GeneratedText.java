package io.github.gatedattention.train;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * The text that the example learns from when it is given none: 2 MiB of little stories, the same bytes on every machine.
 *
 * <p>It is no natural language, but it has what a language model must find: spelling, grammar with agreement, frequencies that differ,
 * and facts that a story states once and asks for later. Names are made up anew for every story, so they cannot be learned by heart:
 * they must be copied from where they stood, which takes attention. Numbers are added up, quotations are closed.
 */
final class GeneratedText {
    private static final int BYTES = 2 << 20;
    private static final long SEED = 20_250_510;
    private static final List<String> ONSETS =
            List.of("b", "br", "d", "f", "g", "gr", "k", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "z");
    private static final List<String> VOWELS = List.of("a", "e", "i", "o", "u", "ai", "ou");
    private static final List<String> ENDS = List.of("", "n", "l", "r", "s", "th", "nd");
    private static final List<String> COLORS = List.of("red", "green", "silver", "black", "yellow", "white");
    private static final List<String> THINGS =
            List.of("key", "lamp", "boat", "book", "coin", "apple", "hat", "bell", "stone", "letter", "rope", "map");
    private static final List<String> PLACES = List.of(
            "the mill", "the harbor", "the old bridge", "the market", "the tower", "the garden", "the inn", "the well");
    private static final List<String> TIMES =
            List.of("In the morning", "At noon", "In the evening", "One day", "After the rain", "Before dawn");
    private static final List<String> NUMBERS = List.of(
            "no",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen");
    private static final int MOST = 9;

    private final SplittableRandom random = new SplittableRandom(SEED);
    private final StringBuilder text = new StringBuilder(BYTES + 2048);

    private GeneratedText() {}

    /** Someone in a story, with all that is said of them. */
    private record Person(String name, String pronoun, String place, String color, String thing, int count) {
        String things() {
            return color + " " + thing + (count == 1 ? "" : "s");
        }

        String owned() {
            return NUMBERS.get(count) + " " + things();
        }
    }

    static byte[] bytes() {
        var generator = new GeneratedText();
        while (generator.text.length() < BYTES) {
            generator.story();
        }
        return generator.text.substring(0, BYTES).getBytes(US_ASCII);
    }

    private void story() {
        List<Person> people = new ArrayList<>();
        for (int n = 2 + random.nextInt(3); n > 0; n--) {
            people.add(person());
        }
        for (Person person : people) {
            say("%s lived at %s and had %s.", person.name(), person.place(), person.owned());
        }
        for (int n = 3 + random.nextInt(5); n > 0; n--) {
            Collections.swap(people, 0, random.nextInt(people.size()));
            event(people.get(0), people.get(1));
        }
        text.setCharAt(text.length() - 1, '\n');
        text.append('\n');
    }

    private void event(Person one, Person other) {
        switch (random.nextInt(6)) {
            case 0 -> say("%s %s went to %s to see %s.", pick(TIMES), one.name(), other.place(), other.name());
            case 1 ->
                say(
                        "\"How many %ss do you have?\" asked %s. \"I have %s,\" said %s.",
                        other.thing(), one.name(), other.owned(), other.name());
            case 2 ->
                say(
                        "%s showed %s to %s, and %s liked the %s.",
                        one.name(), one.owned(), other.name(), other.pronoun(), one.things());
            case 3 -> say("\"Where does %s live?\" asked %s. \"At %s.\"", other.name(), one.name(), other.place());
            case 4 -> {
                int sum = one.count() + other.count();
                say("Together %s and %s had %s things.", one.name(), other.name(), NUMBERS.get(sum));
            }
            default -> say("%s %s was tired, so %s stayed at %s.", pick(TIMES), one.name(), one.pronoun(), one.place());
        }
    }

    private Person person() {
        StringBuilder name = new StringBuilder();
        for (int n = 2 + random.nextInt(2); n > 0; n--) {
            name.append(pick(ONSETS)).append(pick(VOWELS));
        }
        name.append(pick(ENDS));
        name.setCharAt(0, Character.toUpperCase(name.charAt(0)));
        return new Person(
                name.toString(),
                random.nextBoolean() ? "she" : "he",
                pick(PLACES),
                pick(COLORS),
                pick(THINGS),
                1 + random.nextInt(MOST));
    }

    /** The earlier, the more often: frequencies fall as they do in a language. */
    private String pick(List<String> words) {
        double place = random.nextDouble();
        return words.get((int) (place * place * words.size()));
    }

    private void say(String format, Object... values) {
        text.append(String.format(Locale.ROOT, format, values)).append(' ');
    }
}
