package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.github.gatedattention.examples.CudaExample;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.FakeCuda;
import io.github.gatedattention.testing.Sample;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Attention on a CUDA device, on a fake one: everything but the kernels. */
@DisabledIfSystemProperty(named = "ga.native", matches = "false")
class CudaTest {
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 5, 9, 4, 2, 16, 24);

    @BeforeAll
    static void useFake() {
        FakeCuda.use();
        assertThat(Backend.cuda(0).unavailableReason()).isNull();
    }

    @AfterEach
    void nothingIsLeft() {
        FakeCuda.memory(1L << 30);
        FakeCuda.repair();
        assertThat(FakeCuda.openHandles()).isZero();
    }

    private static GatedAttention.Builder builder() {
        return GatedAttention.builder()
                .queryHeads(4)
                .keyValueHeads(2)
                .headDim(16)
                .valueHeadDim(24)
                .mask(Mask.causal());
    }

    private static Tensor upload(CudaStream stream, CudaMemory memory, Tensor host) {
        Tensor there = memory.allocate(host.dataType(), host.shape());
        stream.copy(host, there);
        return there;
    }

    private static Tensor download(CudaStream stream, Arena arena, Tensor device) {
        Tensor here = Tensor.allocate(arena, device.dataType(), device.shape());
        stream.copy(device, here);
        return here;
    }

    /** The operands of a sample in memory of the device. */
    private static Operands upload(CudaStream stream, CudaMemory memory, Operands o) {
        return Operands.of(
                        upload(stream, memory, o.q()),
                        upload(stream, memory, o.k()),
                        upload(stream, memory, o.v()),
                        upload(stream, memory, o.gate()),
                        upload(stream, memory, o.out()))
                .withLse(upload(stream, memory, o.lse()));
    }

    private static float[] onCpu(Sample sample, DataType type) {
        try (GatedAttention attention = builder()
                .dataType(type)
                .backend(Backend.cpu())
                .maxInstructionSet(InstructionSet.SCALAR)
                .build()) {
            attention.forward(sample.operands());
            return sample.out().toFloatArray();
        }
    }

    private static Setting setting() {
        return Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"F32", "BF16", "F16"})
    void forwardGivesWhatTheSameKernelsGiveOnTheCpu(DataType type) {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                CudaStream stream = CudaStream.open(Backend.cuda(0));
                GatedAttention attention =
                        builder().dataType(type).stream(stream).build()) {
            Sample sample = Sample.of(arena, setting(), type, SHAPE);
            Operands there = upload(stream, memory, sample.operands());
            attention.forward(there);
            assertThat(FakeCuda.lastStream()).isNotZero();
            float[] expected = onCpu(sample, type);
            assertThat(download(stream, arena, there.out()).toFloatArray()).isEqualTo(expected);
            assertThat(download(stream, arena, there.lse()).toFloatArray())
                    .isEqualTo(sample.operands().lse().toFloatArray());

            attention.prepare(there).run();
            assertThat(download(stream, arena, there.out()).toFloatArray()).isEqualTo(expected);
            assertThat(attention.backend()).isSameAs(Backend.cuda(0));
        }
    }

    @Test
    void lengthsLieOnTheDeviceAndAreReadThere() {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                GatedAttention attention = builder().backend(Backend.cuda(0)).build()) {
            CudaStream stream = CudaStream.ofDefault(Backend.cuda(0));
            Sample sample = Sample.of(arena, setting(), DataType.F32, SHAPE);
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {9, 4}, 2);
            Operands there = upload(stream, memory, sample.operands()).withKeyLengths(upload(stream, memory, lengths));
            attention.forward(there);
            assertThat(FakeCuda.lastStream()).isZero();
            Sample shorter = sample.with(sample.operands().withKeyLengths(lengths));
            assertThat(download(stream, arena, there.out()).toFloatArray()).isEqualTo(onCpu(shorter, DataType.F32));

            Operands mixed = there.withKeyLengths(lengths);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> attention.forward(mixed))
                    .withMessageContaining("keyLengths is in memory of the host")
                    .withMessageContaining("cuda:0");
        }
    }

    @Test
    void mergesOnTheDevice() {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                GatedAttention here = builder()
                        .backend(Backend.cpu())
                        .maxInstructionSet(InstructionSet.SCALAR)
                        .gate(Gate.none())
                        .build();
                GatedAttention attention =
                        builder().backend(Backend.cuda(0)).gate(Gate.none()).build()) {
            CudaStream stream = CudaStream.ofDefault(Backend.cuda(0));
            Sample sample = Sample.of(arena, setting(), DataType.F32, SHAPE);
            Operands o = sample.operands();
            Tensor partialOut = Tensor.allocate(arena, DataType.F32, 2, 2, 5, 4, 24);
            Tensor partialLse = Tensor.allocate(arena, DataType.F32, 2, 2, 4, 5);
            for (int part = 0; part < 2; part++) {
                Tensor k = o.k().slice(1, part == 0 ? 0 : 4, part == 0 ? 4 : 9);
                Tensor v = o.v().slice(1, part == 0 ? 0 : 4, part == 0 ? 4 : 9);
                here.forward(Operands.of(o.q(), k, v, null, partialOut.select(0, part))
                        .withLse(partialLse.select(0, part)));
            }
            Tensor out = memory.allocate(DataType.F32, 2, 5, 4, 24);
            attention.merge(MergeOperands.of(
                    upload(stream, memory, partialOut), upload(stream, memory, partialLse), null, out));
            Tensor expected = Tensor.allocate(arena, DataType.F32, 2, 5, 4, 24);
            here.merge(MergeOperands.of(partialOut, partialLse, null, expected));
            assertThat(download(stream, arena, out).toFloatArray()).isEqualTo(expected.toFloatArray());
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> attention.merge(MergeOperands.of(partialOut, partialLse, null, out)))
                    .withMessageContaining("partialOut is in memory of the host");
        }
    }

    @Test
    void elementsOfADeviceCannotBeTouched() {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0))) {
            Tensor there = memory.allocate(DataType.F32, 2, 3);
            Tensor numbers = Tensor.allocate(memory, DataType.I32, 2);
            Tensor here = Tensor.allocate(arena, DataType.F32, 2, 3);
            assertThat(there.isOnDevice()).isTrue();
            assertThat(here.isOnDevice()).isFalse();
            List<Runnable> touches = List.of(
                    there::segment,
                    () -> there.getFloat(0, 0),
                    () -> there.setFloat(1, 0, 0),
                    () -> numbers.getInt(0),
                    () -> numbers.setInt(1, 0),
                    there::toFloatArray,
                    () -> there.copyFrom(here),
                    () -> here.copyFrom(there),
                    () -> there.slice(0, 1, 2).segment(),
                    () -> there.transpose(0, 1).getFloat(0, 0),
                    () -> there.reshape(6).toFloatArray(),
                    () -> there.select(0, 1).segment());
            for (Runnable touch : touches) {
                assertThatThrownBy(touch::run)
                        .isInstanceOf(UnsupportedOperationException.class)
                        .hasMessageContaining("cuda:0")
                        .hasMessageContaining("CudaStream.copy");
            }
            assertThat(there).hasToString("Tensor[F32 tensor of shape [2, 3] on cuda:0]");
        }
    }

    @Test
    void tensorsOfAnotherPlaceAreRefusedByName() {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                CudaMemory other = CudaMemory.open(Backend.cuda(1));
                GatedAttention gpu = builder().backend(Backend.cuda(0)).build();
                GatedAttention cpu = builder().backend(Backend.cpu()).build();
                GatedAttention java = builder().backend(Backend.java()).build()) {
            Operands here = Sample.of(arena, setting(), DataType.F32, SHAPE).operands();
            Operands there = upload(CudaStream.ofDefault(Backend.cuda(0)), memory, here);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> gpu.forward(here))
                    .withMessageContaining("q is in memory of the host")
                    .withMessageContaining("CudaMemory.allocate");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> gpu.forward(there.q(), there.k(), here.v(), there.gate(), there.out()))
                    .withMessageContaining("v is in memory of the host");
            for (GatedAttention attention : List.of(cpu, java)) {
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> attention.forward(here.q(), here.k(), here.v(), here.gate(), there.out()))
                        .withMessageContaining("out is in memory of cuda:0")
                        .withMessageContaining("the CPU");
            }
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> gpu.forward(
                            there.q(), other.allocate(DataType.F32, 2, 9, 2, 16), there.v(), there.gate(), there.out()))
                    .withMessageContaining("k is in memory of cuda:1");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> cpu.measure(there.out(), ValueProbe.values()))
                    .withMessageContaining("values is in memory of cuda:0");
            Tensor rows = memory.allocate(DataType.F32, 1, 2, 8);
            try (AttentionEpilogue epilogue =
                            AttentionEpilogue.builder().width(8).gate(null).build();
                    KvCache cache = KvCache.contiguous(1, 4)
                            .keyValueHeads(1)
                            .headDim(8)
                            .dataType(DataType.F32)
                            .build()) {
                Tensor out = Tensor.allocate(arena, DataType.F32, 1, 2, 8);
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> epilogue.run(out, null, rows, out))
                        .withMessageContaining("residual is in memory of cuda:0");
                long id = cache.allocate();
                Tensor tokens = memory.allocate(DataType.F32, 2, 1, 8);
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> cache.append(id, tokens, tokens))
                        .withMessageContaining("k is in memory of cuda:0");
            }
        }
    }

    /** A kernel that is given an address of the host fails the whole device. */
    @Test
    void everyOperandOfTheHostIsRefusedByName() {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                GatedAttention gpu = builder().backend(Backend.cuda(0)).build()) {
            Operands here = Sample.of(arena, setting(), DataType.F32, SHAPE).operands();
            Operands o = upload(CudaStream.ofDefault(Backend.cuda(0)), memory, here);
            Tensor host = here.q();
            Map<String, Operands> wrong = Map.of(
                    "q", Operands.of(host, o.k(), o.v(), o.gate(), o.out()),
                    "k", Operands.of(o.q(), host, o.v(), o.gate(), o.out()),
                    "v", Operands.of(o.q(), o.k(), host, o.gate(), o.out()),
                    "gate", Operands.of(o.q(), o.k(), o.v(), host, o.out()),
                    "out", Operands.of(o.q(), o.k(), o.v(), o.gate(), host),
                    "normWeight", o.withNormWeight(host),
                    "lse", o.withLse(host),
                    "sink", o.withSink(host),
                    "keyScales", o.withScales(new Scales(host, o.q())),
                    "valueScales", o.withScales(new Scales(o.q(), host)));
            wrong.forEach((name, operands) -> assertThatIllegalArgumentException()
                    .isThrownBy(() -> gpu.forward(operands))
                    .withMessageStartingWith(name + " is in memory of the host"));
        }
    }

    @Test
    void whatRunsOnTheCpuAloneSaysSo() {
        try (CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                GatedAttention attention = builder().backend(Backend.cuda(0)).build()) {
            Tensor values = memory.allocate(DataType.F32, 8);
            assertThatThrownBy(() -> attention.measure(values, ValueProbe.values()))
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("cuda:0");
            assertThatThrownBy(() -> AttentionEpilogue.builder()
                            .width(8)
                            .backend(Backend.cuda(0))
                            .build())
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("epilogue");
        }
    }

    @Test
    void explainsWithoutReadingLengths() {
        try (CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                GatedAttention attention = builder().backend(Backend.cuda(0)).build()) {
            Tensor q = memory.allocate(DataType.F32, 2, 5, 4, 16);
            Tensor k = memory.allocate(DataType.F32, 2, 9, 2, 16);
            Plan plan = attention.explain(q, k);
            assertThat(plan.backend()).isEqualTo("cuda:0");
            assertThat(plan.kernel()).isEqualTo("fake_d16");
            assertThat(plan.flop()).isEqualTo(2L * (16 + 24) * 2 * 4 * (5 + 6 + 7 + 8 + 9));
            assertThat(plan.threads()).isEqualTo(1);
        }
    }

    @Test
    void copiesAreChecked() {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                CudaMemory other = CudaMemory.open(Backend.cuda(1));
                CudaStream stream = CudaStream.open(Backend.cuda(0))) {
            Tensor here = Tensor.allocate(arena, DataType.F32, 2, 3);
            Tensor pinned = memory.allocatePinned(DataType.F32, 2, 3);
            Tensor there = memory.allocate(DataType.F32, 2, 3);
            pinned.setFloat(5, 1, 2);
            stream.copy(pinned, there);
            stream.copy(there.select(0, 1), here.select(0, 1));
            assertThat(here.toFloatArray()).containsExactly(0, 0, 0, 0, 0, 5);
            refused(stream, here, pinned, "both in memory of the host");
            refused(stream, here, memory.allocate(DataType.F32, 3, 2), "type and shape");
            refused(stream, here, memory.allocate(DataType.I32, 2, 3), "type and shape");
            refused(stream, here.transpose(0, 1), memory.allocate(DataType.F32, 3, 2), "contiguous");
            refused(stream, here, other.allocate(DataType.F32, 2, 3), "cuda:1");
            MemorySegment readOnly = here.segment().asReadOnly();
            refused(stream, there, Tensor.of(readOnly, DataType.F32, 2, 3), "read-only");
        }
    }

    private static void refused(CudaStream stream, Tensor source, Tensor target, String words) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> stream.copy(source, target))
                .withMessageContaining(words);
    }

    @Test
    void ownersClose() {
        CudaMemory memory = CudaMemory.open(Backend.cuda(0));
        CudaStream stream = CudaStream.open(Backend.cuda(0));
        GatedAttention attention = builder().stream(stream).build();
        Tensor q = memory.allocate(DataType.F32, 2, 5, 4, 16);
        Tensor k = memory.allocate(DataType.F32, 2, 9, 2, 16);
        Tensor v = memory.allocate(DataType.F32, 2, 9, 2, 24);
        Tensor out = memory.allocate(DataType.F32, 2, 5, 4, 24);
        attention.forward(q, k, v, out, out);
        assertThatIllegalStateException().isThrownBy(stream::close).withMessageContaining("in use by 1");
        memory.close();
        assertThatIllegalStateException().isThrownBy(() -> attention.forward(q, k, v, out, out));
        assertThatIllegalStateException().isThrownBy(() -> memory.allocate(DataType.F32, 1));
        attention.close();
        stream.close();
        stream.close();
        assertThatIllegalStateException().isThrownBy(stream::synchronize).withMessageContaining("closed");
        assertThatIllegalStateException()
                .isThrownBy(() -> builder().stream(stream).build());
    }

    @Test
    void memoryThatRunsOutIsTypedAndRecovers() {
        FakeCuda.memory(1000);
        try (CudaMemory memory = CudaMemory.open(Backend.cuda(0))) {
            memory.allocate(DataType.F32, 200);
            GatedAttentionException e =
                    catchThrowableOfType(GatedAttentionException.class, () -> memory.allocate(DataType.F32, 100));
            assertThat(e.status()).isEqualTo(Status.OUT_OF_MEMORY);
            assertThat(e).hasMessageContaining("400 bytes");
            memory.allocate(DataType.F32, 50);
        }
    }

    @Test
    void aFailedDeviceReportsTheFirstCauseFromThenOn() {
        try (CudaMemory memory = CudaMemory.open(Backend.cuda(0));
                CudaMemory other = CudaMemory.open(Backend.cuda(1))) {
            CudaStream stream = CudaStream.ofDefault(Backend.cuda(0));
            Tensor there = memory.allocate(DataType.F32, 4);
            Tensor pinned = memory.allocatePinned(DataType.F32, 4);
            FakeCuda.breakDevice(0);
            for (int n = 0; n < 2; n++) {
                GatedAttentionException e =
                        catchThrowableOfType(GatedAttentionException.class, () -> stream.copy(pinned, there));
                assertThat(e.status()).isEqualTo(Status.DEVICE_FAILED);
                assertThat(e).hasMessageContaining("copy gave an illegal memory access");
            }
            other.allocate(DataType.F32, 4);
            FakeCuda.repair();
        }
    }

    @Test
    void backendsAreNamedAndChecked() {
        assertThat(Backend.cuda(1)).isSameAs(Backend.cuda(1)).hasToString("cuda:1");
        assertThatIllegalArgumentException().isThrownBy(() -> Backend.cuda(-1)).withMessageContaining("-1");
        assertThat(Backend.cuda(7).unavailableReason()).contains("device_index is 7");
        GatedAttentionException e = catchThrowableOfType(
                GatedAttentionException.class,
                () -> builder().backend(Backend.cuda(7)).build());
        assertThat(e.status()).isEqualTo(Status.UNAVAILABLE);
        assertThatIllegalArgumentException().isThrownBy(() -> CudaMemory.open(Backend.cpu()));
        assertThatIllegalArgumentException().isThrownBy(() -> CudaStream.open(Backend.java()));
        try (CudaStream stream = CudaStream.open(Backend.cuda(0))) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() ->
                            builder().stream(stream).backend(Backend.cpu()).build())
                    .withMessageContaining("cuda:0")
                    .withMessageContaining("cpu");
        }
    }

    @Test
    void threadsHaveStreamsOfTheirOwn() throws Exception {
        try (Arena arena = Arena.ofShared();
                ExecutorService threads = Executors.newFixedThreadPool(4)) {
            Sample sample = Sample.of(arena, setting(), DataType.F32, SHAPE);
            float[] expected = onCpu(sample, DataType.F32);
            List<Future<float[]>> results = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
                Backend device = Backend.cuda(t % 2);
                Callable<float[]> call = () -> {
                    try (CudaMemory memory = CudaMemory.open(device);
                            CudaStream stream = CudaStream.open(device);
                            GatedAttention attention = builder().stream(stream).build()) {
                        Operands there = upload(stream, memory, sample.operands());
                        for (int n = 0; n < 20; n++) {
                            attention.forward(there);
                        }
                        return download(stream, arena, there.out()).toFloatArray();
                    }
                };
                results.add(threads.submit(call));
            }
            for (Future<float[]> result : results) {
                assertThat(result.get()).isEqualTo(expected);
            }
        }
    }

    @Test
    void theExampleRuns() {
        assertThat(CudaExample.run()).hasSize(64);
    }
}
