package io.github.gatedattention;

import io.github.gatedattention.bindings.LargePages;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A strided view of off-heap memory, or of memory of a device ({@link CudaMemory}): a {@link MemorySegment}, a {@link DataType}, and
 * an extent and a stride per axis.
 *
 * <p>A tensor owns nothing: whoever opened the arena closes it, and a tensor whose arena is closed throws
 * {@link IllegalStateException} when it is used. {@link #slice}, {@link #select}, {@link #transpose}, {@link #split},
 * {@link #reshape} and {@link #expand} make further views of the same memory and never copy. The view itself is
 * immutable and safe to share between threads; its elements are as safe as any memory that is written.
 *
 * <p>Strides are counted in elements and are never negative. A tensor has 1 to 8 axes.
 *
 * <p>Elements in memory of a device cannot be read or written here: {@link #segment} and all methods that touch elements throw
 * {@link UnsupportedOperationException} then. {@link CudaStream#copy} brings them to the host and back.
 */
public final class Tensor {
    private static final long CACHE_LINE_BYTES = 64;
    private static final byte UNKNOWN = 0;
    private static final byte YES = 1;
    private static final byte NO = 2;
    private static final AtomicLong NEXT_ID = new AtomicLong(1);

    private final MemorySegment segment;
    private final DataType dataType;
    private final long[] shape;
    private final long[] strides;
    private final long address;
    private final long spanBytes;
    /** Tells views apart without keeping them, or their memory, alive. */
    private final long id;
    /** A device's number, or a constant of {@link Place}. */
    private final int place;
    /** Whether no two elements share memory: found when first asked for, by any thread with the same answer. */
    private byte separate = UNKNOWN;

    /** A checked view that begins at {@code elementOffset} of {@code segment}. */
    private Tensor(
            MemorySegment segment, int place, long elementOffset, DataType dataType, long[] shape, long[] strides) {
        this(
                segment.asSlice(elementOffset * dataType.byteSize(), TensorLayout.spanBytes(dataType, shape, strides)),
                place,
                dataType,
                shape,
                strides);
    }

    private Tensor(MemorySegment span, int place, DataType dataType, long[] shape, long[] strides) {
        this.place = place;
        this.segment = span;
        this.dataType = dataType;
        this.shape = shape;
        this.strides = strides;
        this.address = span.address();
        this.spanBytes = TensorLayout.spanBytes(dataType, shape, strides);
        this.id = NEXT_ID.getAndIncrement();
    }

    /** A contiguous shape without memory, to plan with. */
    static Tensor withoutMemory(DataType dataType, long... shape) {
        return new Tensor(
                MemorySegment.NULL, Place.NOWHERE, dataType, shape, TensorLayout.contiguousStrides(dataType, shape));
    }

    /**
     * Allocates a contiguous tensor, zeroed and aligned to 64 bytes. From 4 MiB on it is aligned to 2 MiB, and Linux is
     * advised to put large pages under it.
     *
     * @param arena owns the memory
     * @param dataType the elements' type
     * @param shape the extent of each axis, at least 0
     * @return a tensor over new memory
     * @throws IllegalArgumentException when an extent is negative or the size overflows
     */
    public static Tensor allocate(Arena arena, DataType dataType, long... shape) {
        Objects.requireNonNull(arena, "arena is null");
        long[] extents = shape.clone();
        long[] strides = TensorLayout.contiguousStrides(dataType, extents);
        long bytes = TensorLayout.spanBytes(dataType, extents, strides);
        return new Tensor(allocate(arena, bytes), Place.HOST, 0, dataType, extents, strides);
    }

    private static MemorySegment allocate(Arena arena, long bytes) {
        if (!LargePages.suit(bytes)) {
            return arena.allocate(bytes, CACHE_LINE_BYTES);
        }
        MemorySegment memory = arena.allocate(bytes, LargePages.BYTES);
        LargePages.advise(memory);
        return memory;
    }

    /**
     * Allocates a contiguous tensor in memory of a device, zeroed and aligned to 256 bytes.
     *
     * @param memory owns the memory
     * @param dataType the elements' type
     * @param shape the extent of each axis, at least 0
     * @return a tensor over new memory, whose elements the host cannot touch
     * @throws IllegalArgumentException when an extent is negative or the size overflows
     * @throws IllegalStateException when {@code memory} is closed
     * @throws GatedAttentionException when the device has too little memory left, or failed
     */
    public static Tensor allocate(CudaMemory memory, DataType dataType, long... shape) {
        return Objects.requireNonNull(memory, "memory is null").allocate(dataType, shape);
    }

    /** A contiguous tensor over memory of a place, as large as it. */
    static Tensor at(int place, MemorySegment segment, DataType dataType, long[] shape) {
        return new Tensor(segment, place, 0, dataType, shape, TensorLayout.contiguousStrides(dataType, shape));
    }

    /**
     * Views a segment as a contiguous tensor, without a copy.
     *
     * @param segment off-heap memory, aligned to the element size and at least as large as the tensor
     * @param dataType the elements' type
     * @param shape the extent of each axis, at least 0
     * @return a view of the segment's beginning
     * @throws IllegalArgumentException when the segment is on the heap, too short or misaligned, or the shape invalid
     */
    public static Tensor of(MemorySegment segment, DataType dataType, long... shape) {
        long[] extents = shape.clone();
        return view(segment, dataType, extents, TensorLayout.contiguousStrides(dataType, extents));
    }

    /**
     * Views a segment as a strided tensor, without a copy.
     *
     * @param segment off-heap memory, aligned to the element size and large enough for the last element
     * @param dataType the elements' type
     * @param shape the extent of each axis, at least 0
     * @param strides the distance between neighbors along each axis, in elements, at least 0
     * @return a view whose first element is the segment's first
     * @throws IllegalArgumentException when the segment is on the heap, too short or misaligned, or the shape or a
     *     stride invalid
     */
    public static Tensor of(MemorySegment segment, DataType dataType, long[] shape, long[] strides) {
        long[] extents = shape.clone();
        long[] steps = strides.clone();
        TensorLayout.check(dataType, extents, steps);
        return view(segment, dataType, extents, steps);
    }

    private static Tensor view(MemorySegment segment, DataType dataType, long[] shape, long[] strides) {
        TensorMemory.check(segment, dataType, shape, strides);
        return new Tensor(segment, Place.HOST, 0, dataType, shape, strides);
    }

    /**
     * Allocates a contiguous tensor and copies values into it, rounded to its type.
     *
     * @param arena owns the memory
     * @param dataType F32, BF16 or F16
     * @param values as many as the tensor has elements, the last axis varying fastest
     * @param shape the extent of each axis, at least 0
     * @return a tensor over new memory
     * @throws IllegalArgumentException when the number of values and the shape differ, or the type is I32 or I8
     */
    public static Tensor copyOf(Arena arena, DataType dataType, float[] values, long... shape) {
        if (!dataType.isFloating()) {
            throw new IllegalArgumentException(
                    "dataType is " + dataType + ", but values are float; use the int[] version");
        }
        TensorMemory.checkCount(values.length, dataType, shape);
        Tensor tensor = allocate(arena, dataType, shape);
        Elements.store(dataType, values, 0, tensor.segment, 0, values.length);
        return tensor;
    }

    /**
     * Allocates a contiguous tensor of integers and copies values into it.
     *
     * @param arena owns the memory
     * @param dataType I32 or I8
     * @param values as many as the tensor has elements, the last axis varying fastest
     * @param shape the extent of each axis, at least 0
     * @return a tensor over new memory
     * @throws IllegalArgumentException when the number of values and the shape differ, the type is neither, or a
     *     value is out of its range
     */
    public static Tensor copyOf(Arena arena, DataType dataType, int[] values, long... shape) {
        if (dataType.isFloating()) {
            throw new IllegalArgumentException(
                    "dataType is " + dataType + ", but values are int; use the float[] version");
        }
        TensorMemory.checkCount(values.length, dataType, shape);
        for (int n = 0; dataType == DataType.I8 && n < values.length; n++) {
            Elements.checkInt(dataType, "values[" + n + "]", values[n]);
        }
        Tensor tensor = allocate(arena, dataType, shape);
        for (int n = 0; n < values.length; n++) {
            Elements.setInt(dataType, tensor.segment, n, values[n]);
        }
        return tensor;
    }

    /**
     * Narrows one axis.
     *
     * @param axis which, from 0
     * @param from its first element
     * @param to one past its last element
     * @return a view with {@code to - from} elements on the axis
     * @throws IllegalArgumentException when the tensor has no such axis or the range leaves it
     */
    public Tensor slice(int axis, long from, long to) {
        checkAxis("axis", axis);
        if (from < 0 || from > to || to > shape[axis]) {
            throw new IllegalArgumentException("slice from " + from + " to " + to + " leaves axis " + axis
                    + ", which has " + shape[axis] + " elements");
        }
        long[] extents = shape.clone();
        extents[axis] = to - from;
        // An empty view touches nothing: it begins where this one does, since its own place may be past the end.
        boolean empty = TensorLayout.elements(extents) == 0;
        return new Tensor(segment, place, empty ? 0 : from * strides[axis], dataType, extents, strides);
    }

    /**
     * Takes one position of an axis and drops the axis.
     *
     * @param axis which, from 0
     * @param index the position on it
     * @return a view with one axis less
     * @throws IllegalArgumentException when the tensor has no such axis or position, or only one axis
     */
    public Tensor select(int axis, long index) {
        checkAxis("axis", axis);
        if (index < 0 || index >= shape[axis]) {
            throw new IllegalArgumentException(
                    "index is " + index + ", but axis " + axis + " has " + shape[axis] + " elements");
        }
        if (rank() == 1) {
            throw new IllegalArgumentException("select would leave 0 axes, but a tensor has at least 1; use slice");
        }
        Tensor one = slice(axis, index, index + 1);
        return new Tensor(one.segment, place, 0, dataType, without(shape, axis), without(strides, axis));
    }

    /**
     * Exchanges two axes.
     *
     * @param a one axis, from 0
     * @param b the other
     * @return a view with the axes exchanged
     * @throws IllegalArgumentException when the tensor has no such axis
     */
    public Tensor transpose(int a, int b) {
        checkAxis("a", a);
        checkAxis("b", b);
        long[] extents = shape.clone();
        long[] steps = strides.clone();
        extents[a] = shape[b];
        extents[b] = shape[a];
        steps[a] = strides[b];
        steps[b] = strides[a];
        return new Tensor(segment, place, 0, dataType, extents, steps);
    }

    /**
     * Cuts one axis into neighboring parts, for example a packed projection into q and gate.
     *
     * @param axis which, from 0
     * @param sizes the extent of each part; together the extent of the axis
     * @return a view per part, in order
     * @throws IllegalArgumentException when the sizes do not add up, or the tensor has no such axis
     */
    public List<Tensor> split(int axis, long... sizes) {
        checkAxis("axis", axis);
        long left = shape[axis];
        for (long size : sizes) {
            if (size < 0 || size > left) {
                left = -1;
                break;
            }
            left -= size;
        }
        if (left != 0) {
            throw new IllegalArgumentException("sizes " + Arrays.toString(sizes) + " do not add up to the "
                    + shape[axis] + " elements of axis " + axis);
        }
        List<Tensor> parts = new ArrayList<>(sizes.length);
        long from = 0;
        for (long size : sizes) {
            parts.add(slice(axis, from, from + size));
            from += size;
        }
        return List.copyOf(parts);
    }

    /**
     * Views the same elements, in the same order, with other axes.
     *
     * @param newShape the extent of each axis; as many elements as before
     * @return a view
     * @throws IllegalArgumentException when the number of elements differs, or when no strides can say it and a copy
     *     would be needed
     */
    public Tensor reshape(long... newShape) {
        long[] extents = newShape.clone();
        long[] steps = TensorLayout.reshape(dataType, shape, strides, extents);
        return new Tensor(segment, place, 0, dataType, extents, steps);
    }

    /**
     * Repeats an axis of one element without a copy, by a stride of 0. Such a view can be an input, never an output.
     *
     * @param axis an axis of extent 1, from 0
     * @param n its new extent
     * @return a view
     * @throws IllegalArgumentException when the axis does not have exactly one element
     */
    public Tensor expand(int axis, long n) {
        checkAxis("axis", axis);
        if (shape[axis] != 1) {
            throw new IllegalArgumentException("axis " + axis + " has " + shape[axis]
                    + " elements, but only an axis of 1 can be expanded to " + n);
        }
        long[] extents = shape.clone();
        long[] steps = strides.clone();
        extents[axis] = n;
        steps[axis] = 0;
        TensorLayout.check(dataType, extents, steps);
        return new Tensor(segment, place, 0, dataType, extents, steps);
    }

    /**
     * Reads one element.
     *
     * @param index a position per axis
     * @return its value, exactly
     * @throws IndexOutOfBoundsException when the position is outside
     * @throws IllegalArgumentException when the tensor holds integers, or the number of positions is not the rank
     */
    public float getFloat(long... index) {
        requireFloating();
        return Elements.get(dataType, segment(), offset(index));
    }

    /**
     * Writes one element.
     *
     * @param value rounded to the tensor's type, ties to even
     * @param index a position per axis
     * @throws IndexOutOfBoundsException when the position is outside
     * @throws IllegalArgumentException when the tensor holds integers, or the number of positions is not the rank
     */
    public void setFloat(float value, long... index) {
        requireFloating();
        Elements.set(dataType, segment(), offset(index), value);
    }

    /**
     * Reads one integer.
     *
     * @param index a position per axis
     * @return its value
     * @throws IndexOutOfBoundsException when the position is outside
     * @throws IllegalArgumentException when the tensor holds no integers, or the number of positions is not the rank
     */
    public int getInt(long... index) {
        requireInteger();
        return Elements.getInt(dataType, segment(), offset(index));
    }

    /**
     * Writes one integer, for example the length of a sequence that grew.
     *
     * @param value the value; of an I8 tensor -128 to 127
     * @param index a position per axis
     * @throws IndexOutOfBoundsException when the position is outside
     * @throws IllegalArgumentException when the tensor holds no integers, the value is out of range, or the number of positions is not the rank
     */
    public void setInt(int value, long... index) {
        requireInteger();
        Elements.checkInt(dataType, "value", value);
        Elements.setInt(dataType, segment(), offset(index), value);
    }

    /**
     * Copies all elements to the heap.
     *
     * @return the values, exactly, the last axis varying fastest
     * @throws IllegalArgumentException when the tensor holds integers or has more elements than an array
     */
    public float[] toFloatArray() {
        requireFloating();
        long elements = TensorLayout.elements(shape);
        if (elements > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException(
                    "tensor has " + elements + " elements, but an array holds at most " + (Integer.MAX_VALUE - 8));
        }
        float[] values = new float[(int) elements];
        TensorCopy.toArray(this, values);
        return values;
    }

    /**
     * Copies another tensor's elements into this one, rounded to this one's type.
     *
     * @param source a tensor of the same shape that does not overlap this one; integers only into integers of the same type
     * @throws IllegalArgumentException when shapes differ, this tensor is read-only, or the types do not fit
     */
    public void copyFrom(Tensor source) {
        TensorCopy.copy(source, this);
    }

    /**
     * Returns the memory that this view spans, from its first element to its last.
     *
     * @return a segment of the owner's arena
     * @throws UnsupportedOperationException when it is memory of a device, which the host cannot touch
     */
    public MemorySegment segment() {
        if (isOnDevice()) {
            throw new UnsupportedOperationException(this + " is in memory of " + Place.describe(place)
                    + ", which the host cannot touch; copy it with CudaStream.copy into a tensor of the host");
        }
        return segment;
    }

    /**
     * Tells whether the elements are in memory of a device, which the host cannot touch.
     *
     * @return whether it is a tensor of {@link CudaMemory#allocate}, or a view of one
     */
    public boolean isOnDevice() {
        return Place.isDevice(place);
    }

    /** The segment, wherever it is: to keep it open and to take addresses of it, never to touch it. */
    MemorySegment memory() {
        return segment;
    }

    int place() {
        return place;
    }

    /** Whether the elements follow each other without gaps, in order. */
    boolean isContiguous() {
        return hasStridesOf(TensorLayout.contiguousStrides(dataType, shape));
    }

    /**
     * Returns the elements' type.
     *
     * @return the type
     */
    public DataType dataType() {
        return dataType;
    }

    /**
     * Returns the extent of each axis.
     *
     * @return a new array
     */
    public long[] shape() {
        return shape.clone();
    }

    /**
     * Returns the stride of each axis.
     *
     * @return a new array, in elements
     */
    public long[] strides() {
        return strides.clone();
    }

    /**
     * Returns the number of axes.
     *
     * @return 1 to 8
     */
    public int rank() {
        return shape.length;
    }

    /**
     * Returns the extent of one axis.
     *
     * @param axis which, from 0
     * @return its number of elements
     * @throws IllegalArgumentException when the tensor has no such axis
     */
    public long dim(int axis) {
        checkAxis("axis", axis);
        return shape[axis];
    }

    long stride(int axis) {
        return strides[axis];
    }

    long address() {
        return address;
    }

    long id() {
        return id;
    }

    /** Bytes from the first element to the end of the last. */
    long spanBytes() {
        return spanBytes;
    }

    /** Whether there is no memory to touch. */
    boolean isEmpty() {
        return segment.byteSize() == 0;
    }

    /** Whether every element has a place of its own, as those of an output must. */
    boolean hasSeparateElements() {
        if (separate == UNKNOWN) {
            separate = Overlap.everyElementHasItsPlace(this) ? YES : NO;
        }
        return separate == YES;
    }

    /** Whether the same elements lie at the same places, in the same order. */
    boolean isSameView(Tensor other) {
        return other == this
                || (address == other.address
                        && dataType == other.dataType
                        && Arrays.equals(shape, other.shape)
                        && hasStridesOf(other.strides));
    }

    /** The stride of an axis of one element leads nowhere, so it may differ. */
    private boolean hasStridesOf(long[] others) {
        for (int axis = 0; axis < shape.length; axis++) {
            if (shape[axis] > 1 && strides[axis] != others[axis]) {
                return false;
            }
        }
        return true;
    }

    private long offset(long[] index) {
        if (index.length != rank()) {
            throw new IllegalArgumentException(
                    "index has " + index.length + " positions, but the tensor has " + rank() + " axes");
        }
        long offset = 0;
        for (int axis = 0; axis < index.length; axis++) {
            offset += Objects.checkIndex(index[axis], shape[axis]) * strides[axis];
        }
        return offset;
    }

    private void checkAxis(String name, int axis) {
        if (axis < 0 || axis >= rank()) {
            throw new IllegalArgumentException(name + " is " + axis + ", but the tensor has axes 0 to " + (rank() - 1));
        }
    }

    private void requireFloating() {
        if (!dataType.isFloating()) {
            throw new IllegalArgumentException(
                    "tensor is " + dataType + ", but float values were asked for; use getInt and setInt");
        }
    }

    private void requireInteger() {
        if (dataType.isFloating()) {
            throw new IllegalArgumentException(
                    "tensor is " + dataType + ", but integers were asked for; use getFloat and setFloat");
        }
    }

    private static long[] without(long[] values, int axis) {
        long[] rest = new long[values.length - 1];
        System.arraycopy(values, 0, rest, 0, axis);
        System.arraycopy(values, axis + 1, rest, axis, rest.length - axis);
        return rest;
    }

    @Override
    public String toString() {
        return "Tensor[" + TensorLayout.describe(dataType, shape, strides)
                + (isOnDevice() ? " on " + Place.describe(place) : "") + "]";
    }
}
