package io.github.gatedattention;

import java.util.Objects;

/**
 * A head's attention, pooled: element (r, c) is the probability that the queries of cell r put on the keys of cell c, the mean over
 * those queries that see a key. So a row adds up to 1, or to what a sink leaves. With as many cells as queries and keys it is the
 * matrix of probabilities itself.
 */
public final class AttentionMap {
    private final int rows;
    private final int columns;
    private final double[] cells;

    /** Takes over the array, row after row. */
    AttentionMap(int rows, int columns, double[] cells) {
        this.rows = rows;
        this.columns = columns;
        this.cells = cells;
    }

    /**
     * Returns how many cells the queries are divided into.
     *
     * @return a number of rows
     */
    public int rows() {
        return rows;
    }

    /**
     * Returns how many cells the keys are divided into.
     *
     * @return a number of columns
     */
    public int columns() {
        return columns;
    }

    /**
     * Returns one cell.
     *
     * @param row 0 to {@code rows() - 1}, the first queries first
     * @param column 0 to {@code columns() - 1}, the first keys first
     * @return a probability
     * @throws IndexOutOfBoundsException when a number is out of range
     */
    public double get(int row, int column) {
        Objects.checkIndex(row, rows);
        Objects.checkIndex(column, columns);
        return cells[row * columns + column];
    }

    @Override
    public String toString() {
        return "AttentionMap[" + rows + " x " + columns + "]";
    }
}
