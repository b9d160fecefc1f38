package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reporting.ChartStyle;
import java.io.ByteArrayInputStream;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PictureTest {
    @ParameterizedTest
    @EnumSource
    void isDrawn(Picture picture) throws Exception {
        assertThat(picture.hasData(Documents.complete())).isTrue();
        var image = ImageIO.read(new ByteArrayInputStream(picture.png(Documents.complete())));
        assertThat(image.getWidth()).isEqualTo(ChartStyle.WIDTH);
        assertThat(image.getHeight()).isGreaterThan(ChartStyle.HEIGHT);
    }

    @Test
    void withoutRowsThereIsNone() {
        Document empty = Documents.document(List.of());
        assertThat(Picture.values()).noneMatch(picture -> picture.hasData(empty));
        assertThat(ReportMarkdown.text(empty)).doesNotContain(".png");
    }
}
