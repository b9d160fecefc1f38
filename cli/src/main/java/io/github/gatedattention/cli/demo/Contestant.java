package io.github.gatedattention.cli.demo;

/**
 * What one implementation took.
 *
 * @param name for tables and the picture
 * @param prefillSeconds attention of the prompt
 * @param decodeSeconds attention of one later token
 * @param error of the prompt's attention: length of the difference to float64 over length of the result
 */
record Contestant(String name, double prefillSeconds, double decodeSeconds, double error) {}
