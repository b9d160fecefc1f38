package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ProtocolTest {
    static List<Protocol.Request> requests() {
        return List.of(
                new Protocol.Open(Implementation.ND4J_F32, Workload.S128),
                new Protocol.Turn(Implementation.PYTORCH_BF16, Workload.DECODE_512, 40, 120, 3, 1000),
                new Protocol.Close(Implementation.BARE_F32, Workload.CALL));
    }

    static List<Protocol.Answer> answers() {
        return List.of(
                new Protocol.Opened(3.25e-7, 1.5e6),
                new Protocol.Timed(12, 433.25),
                new Protocol.Closed(),
                new Protocol.Refused("UnsatisfiedLinkError: no libx in java.library.path"));
    }

    @ParameterizedTest
    @MethodSource("requests")
    void requestsArriveAsTheyWereSent(Protocol.Request request) {
        assertThat(Protocol.readRequest(Protocol.write(request))).isEqualTo(request);
    }

    @ParameterizedTest
    @MethodSource("answers")
    void answersArriveAsTheyWereSent(Protocol.Answer answer) {
        assertThat(Protocol.readAnswer(Protocol.write(answer))).hasValue(answer);
    }

    @Test
    void whatLibrariesPrintIsNoAnswer() {
        assertThat(Protocol.readAnswer("[W] timed 3 4.5")).isEmpty();
        assertThat(Protocol.readAnswer("")).isEmpty();
        assertThat(Protocol.readAnswer("no newline" + Protocol.write(new Protocol.Closed())))
                .hasValue(new Protocol.Closed());
        assertThatThrownBy(() -> Protocol.readRequest("sing BARE_F32 CALL"))
                .hasMessage("no request: sing BARE_F32 CALL");
    }
}
